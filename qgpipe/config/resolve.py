"""Resolves a configuration: checks it and fills in defaults."""

import os
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from qgpipe.config.key_path import format_key
from qgpipe.config.load import expand_home
from qgpipe.config.schema import validate
from qgpipe.config.sweeps import dimensions, substitute
from qgpipe.config.types import Config, DataSection
from qgpipe.errors import ConfigError

_SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHARED_WITH_TRAINING = ("batch_size", "num_workers", "pin_memory")
ROLES: dict[Literal["training", "validation", "testing"], str] = {
    "training": "train",
    "validation": "validation",
    "testing": "test",
}

# Keys of QuantumGravPy's older formats, which it has no more; ``qgpipe.conversion`` knows them.
_OLDER = {
    "model": (
        "encoder", "gcn_net", "classifier", "pooling_layer", "aggregate_pooling",
        "graph_features_net", "aggregate_graph_features", "name",
    ),
    "training": (
        "learning_rate", "weight_decay", "checkpoint_path", "early_stopping_patience",
        "early_stopping_tol", "early_stopping_window", "early_stopping_metric", "split",
    ),
    "validation": ("split",),
    "testing": ("split",),
    "data": ("input",),
}  # fmt: skip


def older_key(raw: Mapping[str, Any]) -> str | None:
    """The first key that only QuantumGravPy's older formats have, if there is one."""
    for name, keys in _OLDER.items():
        section = raw.get(name)
        found = [key for key in keys if isinstance(section, Mapping) and key in section]
        if found:
            return f"{name}.{found[0]}"
    return None


def resolve_config(raw: Mapping[str, Any], file: str | None = None) -> Config:
    """The configuration of one run with every default filled in, as a new plain dict.

    References are followed. ``raw`` is what ``load_config`` returns, or a dict written in Python
    with objects in it. Resolving twice changes nothing. Raises ``ConfigError`` with ``file`` and
    the key.
    """
    try:
        if (key := older_key(raw)) is not None:
            raise ConfigError(
                "this is an older format of QuantumGravPy",
                key=key,
                remedy="convert the file: qgpipe convert OLD.yaml > NEW.yaml",
            )
        for dimension in dimensions(raw):
            raise ConfigError(
                "a sweep stands for several runs",
                key=format_key(dimension.path),
                remedy="take them one by one from qgpipe.config.expand_runs",
            )
        config = _with_homes(validate(_inherit(substitute(raw, {}))))
        if config["baseline"] is True:
            config["baseline"] = validate({}, "baseline")
        _check_sources(config)
        _check_repetition(config)
        _check_split(config)
        _check_evaluation(config)
        _check_stopping(config)
        _check_ablations(config)
        _check_nodes(config)
        _check_log_level(config["log_level"])
    except ConfigError as error:
        error.file = error.file or file
        raise
    return config


def data_sources(config: Config) -> list[tuple[str, DataSection]]:
    """The data sets that are read, as ``(role, section)``.

    ``role`` is ``all`` for the top-level data that is split, else ``train``, ``validation`` or
    ``test`` for a stage's own ``data``, whose missing keys are taken from the top-level section.
    """
    top = config["data"].copy()
    sources = [("all", top)] if top["files"] or config.get("generate") else []
    for stage, role in ROLES.items():
        own = config.get(stage, {}).get("data")
        if own:
            given = {k: v for k, v in own.items() if v is not None and k != "split"}
            undivided = {"group_by": None, "stratify_by": None}
            merged = {**top, **undivided, **given, "output": top["output"]}
            sources.append((role, cast(DataSection, merged)))
    return sources


def data_source(config: Config, role: str) -> DataSection:
    """The data section that the set ``train``, ``validation`` or ``test`` is taken from."""
    sources = dict(data_sources(config))
    return sources.get(role) or sources["all"]


def kept_arrays(config: Config, source: DataSection) -> dict[str, str]:
    """Arrays of the stores that graphs have as attributes, and the key that names each.

    ``source``: the data section that is read.
    """
    report = config.get("report") or {}
    names = dict.fromkeys(report.get("sensitivity", ()), "report.sensitivity")
    if (strata := source.get("stratify_by")) is not None:
        names[strata] = "data.stratify_by"
    if (groups := source.get("group_by")) is not None:
        names[groups] = "data.group_by"
    return names


def generated_stores(config: Config) -> list[str]:
    """The names of the stores that are generated."""
    section = config.get("generate")
    return section["stores"] if section else []


def evaluated_sets(config: Config) -> list[str]:
    """The names of the sets in ``evaluate.sets``, in their order."""
    return list(config["evaluate"]["sets"]) if "evaluate" in config else []


def _inherit(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Validation and testing inherit missing loader keys from training.

    If each stage has its own data, and there is no other, all of it goes to the first output.
    """
    training = raw.get("training")
    if not isinstance(training, Mapping):
        return raw
    result = dict(raw)
    own = [section.get("data") for stage in ROLES if (section := raw.get(stage))]
    if raw.get("data") is None and raw.get("generate") is None and all(own) and len(own) == 3:
        result["data"] = {"output": output} if (output := own[0].get("output")) else {}
    for stage in ("validation", "testing"):
        section = raw.get(stage)
        if section is None and stage == "testing":
            section = {}
        if isinstance(section, Mapping):
            shared = {k: training[k] for k in _SHARED_WITH_TRAINING if k in training}
            given = {k: v for k, v in section.items() if v is not None}
            result[stage] = {**shared, **given}
    return result


def _check_sources(config: Config) -> None:
    roles = {role for role, _ in data_sources(config)}
    if not roles:
        raise ConfigError(
            "no data", key="data.files", remedy="name zarr stores, or give a 'generate' section"
        )
    for stage in ("training", "validation"):
        if "all" in roles and ROLES[stage] in roles:
            raise ConfigError(
                "there is a top-level data set too",
                key=f"{stage}.data",
                remedy="beside data.files only testing.data may name a set of its own",
            )
    if "all" not in roles and roles != {"train", "validation", "test"}:
        missing = [s for s, role in ROLES.items() if role not in roles]
        raise ConfigError(
            f"missing in {', '.join(missing)}",
            key="data.files",
            remedy="give data.files, or a 'data' section in each of training, validation, testing",
        )


def _check_repetition(config: Config) -> None:
    """Raise ``ConfigError`` for a store named twice: its samples would be in several sets."""
    for role, source in data_sources(config):
        seen: dict[str, str] = {}
        for file in source["files"]:
            place = os.path.realpath(file)
            if place in seen:
                same = "" if file == seen[place] else f", as '{seen[place]}'"
                raise ConfigError(
                    f"'{file}' is named twice{same}",
                    key=_files_key(role),
                    remedy="name each store once",
                )
            seen[place] = file


def _files_key(role: str) -> str:
    stage = next((stage for stage, own in ROLES.items() if own == role), None)
    return f"{stage}.data.files" if stage else "data.files"


def _check_split(config: Config) -> None:
    roles = {role for role, _ in data_sources(config)}
    split = config["data"]["split"]
    _check_folds(config["data"], roles)
    _check_groups(config["data"])
    if "all" not in roles:
        return
    wanted = 2 if "test" in roles else 3
    if config["data"]["folds"] and split is not None:
        wanted = len(split)  # the test set is a fold: its share is optional
    if split is None or len(split) != wanted:
        own = "testing.data names a test set of its own" if wanted == 2 else "the data is split"
        raise ConfigError(
            f"expected {wanted} shares because {own}, got {split}",
            key="data.split",
            remedy="write [0.8, 0.1, 0.1]" if wanted == 3 else "write [0.9, 0.1]",
        )
    if abs(sum(split) - 1) > 1e-6:
        raise ConfigError(
            f"the shares sum to {sum(split):g}", key="data.split", remedy="they have to sum to 1"
        )


def _check_folds(data: DataSection, roles: set[str]) -> None:
    folds, fold = data["folds"], data["fold"]
    if folds and roles != {"all"}:
        raise ConfigError(
            "the samples that are tested on are named already",
            key="data.folds",
            remedy="leave out the 'data' of training, validation and testing",
        )
    if folds and fold is None:
        raise ConfigError(
            f"{folds} folds are {folds} runs",
            key="data.folds",
            remedy="choose one with data.fold, or take all from qgpipe.config.expand_runs",
        )
    if fold and (not folds or fold > folds):
        raise ConfigError(
            f"there is no fold {fold}",
            key="data.fold",
            remedy=f"use 1 to {folds}" if folds else "give data.folds, too",
        )


def _check_groups(data: DataSection) -> None:
    if data["split_method"] == "group" and data["group_by"] is None:
        raise ConfigError(
            "nothing says what the groups are",
            key="data.group_by",
            remedy="name an array of the stores, or an attribute that your reader sets",
        )
    if data["split_method"] != "stratified" and data["stratify_by"] is not None:
        raise ConfigError(
            f"split_method is '{data['split_method']}'",
            key="data.stratify_by",
            remedy="give data.split_method: stratified, or leave this out",
        )


def _check_stopping(config: Config) -> None:
    if "early_stopping" in config and "validation" not in config:
        raise ConfigError(
            "there is no validation to watch",
            key="early_stopping",
            remedy="give a 'validation' section, or leave early stopping out",
        )


def _check_ablations(config: Config) -> None:
    kind = config["training"]["ablation"]
    if kind is not None and config["report"]["ablations"]:
        raise ConfigError(
            f"the run is an ablation itself, by training.ablation: {kind}",
            key="report.ablations",
            remedy="leave one of the two out",
        )


def _check_evaluation(config: Config) -> None:
    for name, own in config["evaluate"]["sets"].items() if "evaluate" in config else ():
        key = f"evaluate.sets.{name}"
        if not _SET_NAME.fullmatch(name) or name == "test":
            raise ConfigError(
                f"'{name}' cannot be the name of a set",
                key="evaluate.sets",
                remedy="use letters, digits, '.', '_' and '-'; 'test' is the test set",
            )
        given = [kind for kind in ("file", "generate") if own[kind] is not None]
        if len(given) != 1:
            raise ConfigError(
                "both a store and what to generate"
                if given
                else "neither a store nor what to generate",
                key=key,
                remedy="name a store with 'file', or describe what to make with 'generate'",
            )
        if (generate := own["generate"]) and generate["size"][0] > generate["size"][1]:
            smallest, largest = generate["size"]
            raise ConfigError(
                f"the smallest size, {smallest}, is above the largest, {largest}",
                key=f"{key}.generate.size",
                remedy="give [smallest, largest]",
            )


def _check_nodes(config: Config) -> None:
    section = config.get("parallel") or {"nodes": 1, "world_size": 1}
    if section["nodes"] > section["world_size"]:
        raise ConfigError(
            f"{section['nodes']} nodes are more than the {section['world_size']} processes",
            key="parallel.nodes",
            remedy="make it at most world_size",
        )


def _check_log_level(level: str | int) -> None:
    names = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    if isinstance(level, str) and level.upper() not in names and not level.isdigit():
        raise ConfigError(
            f"unknown level '{level}'", key="log_level", remedy=f"use one of {', '.join(names)}"
        )


def _with_homes(config: Config) -> Config:
    """``config`` with ``~`` and ``~user`` at the beginning of paths expanded.

    No shell expands them, so a folder called ``~`` would be created. Raises ``ConfigError`` if
    there is no such user.
    """
    sections: list[Any] = [config["data"], *(config.get(stage, {}).get("data") for stage in ROLES)]
    sections += [config["training"], config.get("predict")]
    sections += config["evaluate"]["sets"].values() if "evaluate" in config else ()
    for section in filter(None, sections):
        for key in ("files", "file", "output", "path"):
            value = section.get(key)
            if isinstance(value, str):
                section[key] = expand_home(value)
            elif value is not None:
                section[key] = [expand_home(file) for file in value]
    return config
