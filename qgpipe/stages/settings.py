"""The settings that the result of each stage depends on: one function for each stage.

Each takes the resolved configuration and the data section that is read; the values that it returns
may contain objects. Keys that only affect how a job runs (device, workers, logging, locations of
files) are never included.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

from qgpipe.config.dump import to_plain
from qgpipe.config.objects import dotted_name, is_tagged
from qgpipe.config.resolve import ROLES, data_source, kept_arrays
from qgpipe.config.types import Config, DataSection, SourceSection

HOW_NOT_WHAT = {
    "device", "path", "num_workers", "pin_memory", "prefetch_factor", "persistent_workers",
    "checkpoint_at", "keep_checkpoints", "checkpoint_every_steps", "data", "output",
    "n_processes", "residency", "chunksize", "files", "message_passing",
    "loggers", "calibrate", "outlier_score", "outlier_share",
}  # fmt: skip

_SplitKey = Literal["split", "split_method", "shuffle", "subset"]
_SPLIT_KEYS: tuple[_SplitKey, ...] = get_args(_SplitKey)
_MoreSplitKey = Literal["group_by", "stratify_by", "folds", "fold"]  # null means a missing key
_MORE_SPLIT_KEYS: tuple[_MoreSplitKey, ...] = get_args(_MoreSplitKey)
_ReadKey = Literal[
    "reader", "pre_transform", "pre_filter", "validate_data", "validate_order", "on_bad_sample",
    "float_type", "int_type", "compress",
]  # fmt: skip
_READ_KEYS: tuple[_ReadKey, ...] = get_args(_ReadKey)


def generate(config: Config, _: DataSection) -> dict[str, Any]:
    """The ``generate`` section without the list of stores."""
    return {"generate": _without("stores", config.get("generate"))}


def preprocess(config: Config, source: DataSection) -> dict[str, Any]:
    """How samples are read, and what is kept of them."""
    kept = {"group_by": source["group_by"]} if source["group_by"] else {}
    others = sorted(set(kept_arrays(config, source)) - {source["group_by"]})
    more = {"kept": others} if others else {}  # nothing has always been the same as absent
    return {"data": {**{k: source[k] for k in _READ_KEYS}, **kept, **more}}


def split(config: Config, _: DataSection) -> dict[str, Any]:
    """How samples are divided, and the seed."""
    data = config["data"]
    more = {k: data[k] for k in _MORE_SPLIT_KEYS if data[k] is not None}
    return {
        "data": {**{k: data[k] for k in _SPLIT_KEYS}, **more},
        "own": {
            stage: _drawn(config[stage].get("data")) if stage in config else {} for stage in ROLES
        },
        "seed": split_seed(config),
    }


def split_seed(config: Config) -> int:
    """The seed of the split: its own, or by default that of training."""
    seed = config["data"]["seed"]
    return config["training"]["seed"] if seed is None else seed


def baseline(config: Config, _: DataSection) -> dict[str, Any]:
    """The section ``baseline``; the model has no effect."""
    return {"baseline": config["baseline"]}


def train(config: Config, _: DataSection) -> dict[str, Any]:
    """The model, its loss, and how it is trained and validated."""
    standardize = config["data"]["standardize"]
    return {
        **({"standardize": standardize} if standardize else {}),
        "model": config["model"],
        "criterion": config["criterion"],
        "apply_model": config["apply_model"],
        "early_stopping": config.get("early_stopping"),
        "transform": _transforms(config, "train", "validation"),
        "training": _without_none(("ablation", "sampler"), _what(config["training"])),
        "validation": _what(config.get("validation")),
    }


def calibrate(config: Config, _: DataSection) -> dict[str, Any]:
    """What is fitted to the outputs of the model."""
    kept = ("calibrate", "outlier_score", "outlier_share")
    return {
        "apply_model": config["apply_model"],
        "transform": _transforms(config, "train", "validation"),
        "testing": {k: v for k, v in config["testing"].items() if k in kept},
    }


def test(config: Config, _: DataSection) -> dict[str, Any]:
    """How outputs are evaluated."""
    return {
        "criterion": config["criterion"],
        "apply_model": config["apply_model"],
        "transform": _transforms(config, "test"),
        "testing": _what(config["testing"]),
    }


def predict(config: Config, _: DataSection) -> dict[str, Any]:
    """How samples are read, and which outputs are written."""
    source = data_source(config, "test")
    return {
        "apply_model": config["apply_model"],
        "transform": _transforms(config, "test"),
        "data": {k: source[k] for k in _READ_KEYS if k != "compress"},
        "predict": _without("files", config.get("predict")),
    }


def evaluate(config: Config, _: DataSection) -> dict[str, Any]:
    """How samples are read, and how sets are generated."""
    source = data_source(config, "test")
    sets = config["evaluate"]["sets"] if "evaluate" in config else {}
    return {
        "apply_model": config["apply_model"],
        "transform": _transforms(config, "test"),
        "data": {k: source[k] for k in _READ_KEYS if k != "compress"},
        "sets": {name: own["generate"] for name, own in sets.items()},
    }


def apply(config: Config, source: DataSection) -> dict[str, Any]:
    """The section ``baseline``, and as for ``evaluate``; the model has no effect."""
    of_sets = evaluate(config, source)
    return {**baseline(config, source), "data": of_sets["data"], "sets": of_sets["sets"]}


def explain(config: Config, _: DataSection) -> dict[str, Any]:
    """How outputs are judged, the invariants, and the seed of what is permuted and drawn."""
    baseline = config["baseline"]
    return {
        "criterion": config["criterion"],
        "apply_model": config["apply_model"],
        "transform": _transforms(config, "validation", "test"),
        "features": [] if isinstance(baseline, bool) else baseline["features"],
        "seed": config["training"]["seed"],
    }


def ablate(config: Config, _: DataSection) -> dict[str, Any]:
    """Which ablations there are."""
    return {"ablations": config["report"]["ablations"]}


def tune(config: Config, source: DataSection) -> dict[str, Any]:
    """The settings of a training, and of the search."""
    return {**train(config, source), "tune": _without("jobs", config.get("tune"))}


def study(config: Config, _: DataSection) -> dict[str, Any]:
    """The whole configuration as one text, because it is written with the best values.

    Fingerprints of code are not needed: they are in the sections of the stages that call it.
    """
    kept = {k: v for k, v in config.items() if k not in ("log_level", "baseline", "report")}
    return {"config": json.dumps(canonical(to_plain(kept)))}


def export(config: Config, _: DataSection) -> dict[str, Any]:
    """How the model is called."""
    return {"apply_model": config["apply_model"]}


def report(config: Config, _: DataSection) -> dict[str, Any]:
    """The attributes by which scores are shown, if there are any."""
    shown = config["report"]["sensitivity"]
    return {"report": {"sensitivity": shown}} if shown else {}


def nothing(_config: Config, _: DataSection) -> dict[str, Any]:
    """No settings: the result depends only on the inputs."""
    return {}


def _transforms(config: Config, *roles: str) -> dict[str, Any]:
    return {role: data_source(config, role)["transform"] for role in roles}


def _drawn(own: SourceSection | None) -> dict[str, Any]:
    """How samples are drawn from a stage's own data."""
    return {k: v for k, v in (own or {}).items() if k in ("shuffle", "subset")}


def _without(key: str, section: Mapping[str, Any] | None) -> dict[str, Any]:
    """A section, which may be missing, without one of its keys."""
    return {k: v for k, v in (section or {}).items() if k != key}


def _without_none(keys: tuple[str, ...], section: dict[str, Any]) -> dict[str, Any]:
    """A section without ``keys`` that are null, which has always been the same as absent."""
    return {k: v for k, v in section.items() if k not in keys or v is not None}


def _what(section: Any) -> Any:
    """A section without the keys that only affect how a job runs."""
    if not isinstance(section, Mapping):
        return section
    kept = {k: v for k, v in section.items() if k not in HOW_NOT_WHAT}
    evaluators = {k: _without("device", kept[k]) for k in ("validator", "tester") if kept.get(k)}
    return {**kept, **evaluators}


def canonical(value: Any) -> Any:
    """``value`` with sorted keys, and tagged names of objects without the tag."""
    if is_tagged(value):
        return dotted_name(value)
    if isinstance(value, Mapping):
        return {k: canonical(value[k]) for k in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    return value
