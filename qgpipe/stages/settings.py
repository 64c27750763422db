"""Which keys of the configuration shape the result of which stage.

A stage's section goes into its rule's ``params``: when it changes, the stage runs again.
Keys that change only how the work is done (device, workers, logging, where files lie) are
in no section.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qgpipe.config.dump import to_plain
from qgpipe.config.objects import dotted_name, is_tagged
from qgpipe.config.resolve import data_source
from qgpipe.stages.module_code import code_fingerprints

# Raised by hand when the code of a stage changes what it writes.
FORMATS = {
    "generate": 1, "preprocess": 2, "gather": 2, "split": 1, "train": 1, "test": 2, "predict": 2,
    "export": 1, "report": 2, "page": 1, "sweep": 1, "folds": 1, "tune": 1, "study": 1,
}  # fmt: skip

HOW_NOT_WHAT = {
    "device", "path", "num_workers", "pin_memory", "prefetch_factor", "persistent_workers",
    "checkpoint_at", "keep_checkpoints", "checkpoint_every_steps", "data", "output",
    "n_processes", "residency", "chunksize", "files", "message_passing",
    "loggers",
}  # fmt: skip

_STAGES = ("training", "validation", "testing")
_SPLIT_KEYS = ("split", "split_method", "shuffle", "subset")
_MORE_SPLIT_KEYS = ("group_by", "folds", "fold")  # null has always been the same as absent
_READ_KEYS = (
    "reader", "pre_transform", "pre_filter", "validate_data", "validate_order", "on_bad_sample",
    "float_type", "int_type", "compress",
)  # fmt: skip


def stage_section(
    config: Mapping[str, Any],
    stage: str,
    folders: Iterable[Path] = (),
    source: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What shapes the result of ``stage``: plain values in canonical key order.

    ``source`` is the data section that a preprocessing job reads (default: the top-level
    one). ``folders`` are the user's; the fingerprints of the code in them that the section
    names are under ``code``.
    """
    chosen = to_plain(_SECTIONS[stage](config, source or config["data"]))
    section = {"format": FORMATS[stage], **chosen, "code": code_fingerprints(chosen, folders)}
    return _canonical(section)


def _generate(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    section = config.get("generate") or {}
    return {"generate": {k: v for k, v in section.items() if k != "stores"}}


def _preprocess(_: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    kept = {"group_by": source["group_by"]} if source.get("group_by") else {}
    return {"data": {**{k: source.get(k) for k in _READ_KEYS}, **kept}}


def _split(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    stages = {stage: config.get(stage, {}).get("data") or {} for stage in _STAGES}
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


def _train(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{k: config.get(k) for k in ("model", "criterion", "apply_model", "early_stopping")},
        "transform": _transforms(config, "train", "validation"),
        "training": _what(config["training"]),
        "validation": _what(config.get("validation")),
    }


def _test(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{k: config.get(k) for k in ("criterion", "apply_model")},
        "transform": _transforms(config, "test"),
        "testing": _what(config["testing"]),
    }


def _predict(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    source, asked = data_source(config, "test"), config.get("predict") or {}
    return {
        "apply_model": config.get("apply_model"),
        "transform": _transforms(config, "test"),
        "data": {k: source.get(k) for k in _READ_KEYS if k != "compress"},
        "predict": {k: v for k, v in asked.items() if k != "files"},
    }


def _tune(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    tune = config.get("tune") or {}
    return {**_train(config, {}), "tune": {k: v for k, v in tune.items() if k != "jobs"}}


def _study(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    """All of the configuration, which is written out with the best values: as one text.

    Its code need not count, which is in the sections of what it is called by.
    """
    kept = {k: v for k, v in config.items() if k != "log_level"}
    return {"config": json.dumps(_canonical(to_plain(kept)))}


def _export(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    return {"apply_model": config.get("apply_model")}


def _report(_config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Any]:
    return {}


_SECTIONS = {
    "generate": _generate,
    "preprocess": _preprocess,
    "split": _split,
    "train": _train,
    "test": _test,
    "predict": _predict,
    "export": _export,
    "report": _report,
    "page": _report,
    "tune": _tune,
    "study": _study,
}


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


def _canonical(value: Any) -> Any:
    """Keys in order; an object by its name, whether that was tagged or not."""
    if is_tagged(value):
        return dotted_name(value)
    if isinstance(value, Mapping):
        return {k: _canonical(value[k]) for k in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_canonical(v) for v in value]
    return value
