"""Which keys of the configuration shape the result of which stage: a function for each.

They are given the resolved configuration and the data section that is read, and return values that
may hold objects. Keys that change only how the work is done (device, workers, logging, where files
lie) are in none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qgpipe.config.dump import to_plain
from qgpipe.config.objects import dotted_name, is_tagged
from qgpipe.config.resolve import ROLES, data_source

HOW_NOT_WHAT = {
    "device", "path", "num_workers", "pin_memory", "prefetch_factor", "persistent_workers",
    "checkpoint_at", "keep_checkpoints", "checkpoint_every_steps", "data", "output",
    "n_processes", "residency", "chunksize", "files", "message_passing",
    "loggers",
}  # fmt: skip

_SPLIT_KEYS = ("split", "split_method", "shuffle", "subset")
_MORE_SPLIT_KEYS = ("group_by", "folds", "fold")  # null has always been the same as absent
_READ_KEYS = (
    "reader", "pre_transform", "pre_filter", "validate_data", "validate_order", "on_bad_sample",
    "float_type", "int_type", "compress",
)  # fmt: skip


def generate(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """The ``generate`` section; not how many stores there are of it."""
    section = config.get("generate") or {}
    return {"generate": {k: v for k, v in section.items() if k != "stores"}}


def preprocess(_: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """How samples are read."""
    kept = {"group_by": source["group_by"]} if source.get("group_by") else {}
    return {"data": {**{k: source.get(k) for k in _READ_KEYS}, **kept}}


def split(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """How samples are divided, and the seed."""
    stages = {stage: config.get(stage, {}).get("data") or {} for stage in ROLES}
    data = config["data"]
    more = {k: data[k] for k in _MORE_SPLIT_KEYS if data[k] is not None}
    return {
        "data": {**{k: data[k] for k in _SPLIT_KEYS}, **more},
        "own": {
            stage: {k: own[k] for k in ("shuffle", "subset") if k in own}
            for stage, own in stages.items()
        },
        "seed": config["training"]["seed"],
    }


def train(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """The model, its loss, and how it is trained and validated."""
    return {
        **{k: config.get(k) for k in ("model", "criterion", "apply_model", "early_stopping")},
        "transform": _transforms(config, "train", "validation"),
        "training": _what(config["training"]),
        "validation": _what(config.get("validation")),
    }


def test(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """How outputs are judged."""
    return {
        **{k: config.get(k) for k in ("criterion", "apply_model")},
        "transform": _transforms(config, "test"),
        "testing": _what(config["testing"]),
    }


def predict(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """How samples are read, and what is written of outputs."""
    source, asked = data_source(config, "test"), config.get("predict") or {}
    return {
        "apply_model": config.get("apply_model"),
        "transform": _transforms(config, "test"),
        "data": {k: source.get(k) for k in _READ_KEYS if k != "compress"},
        "predict": {k: v for k, v in asked.items() if k != "files"},
    }


def tune(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """A training, and how the study searches."""
    tune = config.get("tune") or {}
    return {**train(config, {}), "tune": {k: v for k, v in tune.items() if k != "jobs"}}


def study(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """All of the configuration, which is written out with the best values: as one text.

    Its code need not count, which is in the sections of what it is called by.
    """
    kept = {k: v for k, v in config.items() if k != "log_level"}
    return {"config": json.dumps(canonical(to_plain(kept)))}


def export(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """How the model is called."""
    return {"apply_model": config.get("apply_model")}


def nothing(_config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """The result follows from the inputs alone."""
    return {}


def _transforms(config: Mapping[str, Any], *roles: str) -> dict[str, Any]:
    return {role: data_source(config, role)["transform"] for role in roles}


def _what(section: Any) -> Any:
    """A section without the keys that only say how the work is done."""
    if not isinstance(section, Mapping):
        return section
    nested = ("validator", "tester")
    return {
        k: {n: v for n, v in value.items() if n != "device"}
        if k in nested and isinstance(value, Mapping)
        else value
        for k, value in section.items()
        if k not in HOW_NOT_WHAT
    }


def canonical(value: Any) -> Any:
    """``value`` with keys in order, and an object by its name, whether that was tagged or not."""
    if is_tagged(value):
        return dotted_name(value)
    if isinstance(value, Mapping):
        return {k: canonical(value[k]) for k in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    return value
