"""``split.json``: positions of training, validation and test set, and how they were chosen."""

import json
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from qgpipe.config.resolve import data_sources, kept_arrays
from qgpipe.config.types import Config
from qgpipe.data.splits.methods import sample_keys, strata
from qgpipe.data.splits.sizes import KEY, STAGES
from qgpipe.data.splits.split import draw, make_split
from qgpipe.data.storage.manifest import read_dataset, recorded_part
from qgpipe.data.storage.part_file import (
    count_values,
    read_graph_attribute,
    read_sample_index,
    read_targets,
)
from qgpipe.errors import ConfigError, DataError
from qgpipe.stages.settings import split_seed
from qgpipe.system.files import read_json, write_text

FORMAT = 1

Parts = Sequence[Mapping[str, Any]]


def write_split(config: Config, dataset: str | Path, output: str | Path) -> None:
    """Split the graphs of ``dataset`` (a ``dataset.json``) and write the positions.

    ``config``: the whole resolved configuration. Graphs of the top-level data are split by
    ``data.split``; all graphs of a stage's own data (parts with its role) belong to that stage.
    Raises ``ConfigError`` as :func:`make_split`, and if a stage gets no graphs.
    """
    description = read_dataset(dataset)
    check_kept(config, description["attributes"])
    parts = [part for part in description["parts"] if part["num_graphs"]]
    folder = Path(dataset).parent
    for part in parts:
        recorded_part(folder, part)
    labels = _of_graphs(parts, lambda part: read_targets(folder / part["file"]))
    data, seed = config["data"], split_seed(config)
    group_by = data["group_by"] if data["split_method"] == "group" else None
    stratify_by = data["stratify_by"]
    roles = np.repeat([part["role"] for part in parts], [part["num_graphs"] for part in parts])
    result: dict[str, np.ndarray] = {}
    for role, section in data_sources(config):
        positions = np.flatnonzero(roles == role)
        if role == "all":
            own = [part for part in parts if part["role"] == "all"]
            chosen = make_split(
                len(positions),
                data["split"],
                seed,
                data["split_method"],
                _strata(folder, own, None if labels is None else labels[positions], stratify_by),
                data["shuffle"],
                data["subset"],
                groups=_values(folder, own, group_by) if group_by else None,
                keys=_keys(folder, own) if data["split_method"] == "hash" else None,
                folds=data["folds"],
                fold=data["fold"],
            )
            result |= {stage: positions[local] for stage, local in chosen.items()}
        else:
            generator = np.random.default_rng(np.random.SeedSequence((seed, STAGES.index(role))))
            drawn = draw(positions, generator, section["shuffle"], section["subset"])
            result[role] = drawn if role == "train" else np.sort(drawn)
    _check_not_empty(result, dataset)
    given = "all" not in roles
    _write(
        output,
        {
            "format": FORMAT,
            "method": "given" if given else data["split_method"],
            "seed": seed,
            "fractions": None if given else list(data["split"]),
            "group_by": group_by,
            **({"stratify_by": stratify_by} if stratify_by else {}),
            "folds": data["folds"],
            "fold": data["fold"],
            "num_graphs": len(roles),
            **{stage: result[stage].tolist() for stage in STAGES},
            "class_counts": None
            if labels is None
            else {stage: count_values(labels[result[stage]]) for stage in STAGES},
        },
    )


def read_split(path: str | Path, num_graphs: int) -> dict[str, np.ndarray]:
    """Positions of the sets, int64, in ``path``, a split of a data set of ``num_graphs`` graphs.

    Raises ``DataError`` if it is missing, damaged, of another format or of another data set, if a
    position is out of range, or if a graph is listed more than once.
    """
    split = read_json(path)
    version = split.get("format") if isinstance(split, dict) else None
    if version != FORMAT:
        raise DataError(
            f"{path} has split format {version}; this version of qgpipe reads {FORMAT}",
            remedy="run the split stage again",
        )
    if split.get("num_graphs") != num_graphs:
        raise DataError(
            f"{path} splits {split.get('num_graphs')} graphs, but there are {num_graphs}",
            remedy="run the split stage again",
        )
    sets = {}
    owner = np.full(num_graphs, -1, np.int8)
    for number, name in enumerate(STAGES):
        given = split.get(name)
        if not isinstance(given, list) or set(map(type, given)) - {int}:
            _refuse(path, f"'{name}' is not a list of whole numbers")
        if given and not 0 <= min(given) <= max(given) < num_graphs:
            wrong = next(position for position in given if not 0 <= position < num_graphs)
            _refuse(path, f"'{name}' has graph {wrong} of {num_graphs}")
        sets[name] = positions = np.array(given, np.int64)
        if (before := positions[owner[positions] >= 0]).size:
            _refuse(path, f"graph {before[0]} is in '{STAGES[owner[before[0]]]}' and in '{name}'")
        owner[positions] = number
        if np.count_nonzero(owner == number) < len(positions):
            values, counts = np.unique(positions, return_counts=True)
            _refuse(path, f"'{name}' has graph {values[counts > 1][0]} more than once")
    return sets


def _refuse(path: str | Path, problem: str) -> NoReturn:
    raise DataError(f"{path} is damaged: {problem}", remedy="delete it and run the pipeline again")


def check_kept(config: Config, attributes: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` if what the graphs are to keep is not among their ``attributes``.

    ``attributes``: of ``dataset.json``. Groups are only checked if the split is by group.
    """
    data = config["data"]
    for name, key in kept_arrays(config, data).items():
        if key == "data.group_by" and data["split_method"] != "group":
            continue
        entry = attributes.get(name, {"kind": "none"})
        if entry["kind"] != "graph" or prod(entry["shape"]) != 1:
            raise ConfigError(
                f"the graphs have no attribute '{name}' of one number each",
                key=key,
                remedy="let data.reader or data.pre_transform set it, or name another",
            )


def _of_graphs(
    parts: Parts, read: Callable[[Mapping[str, Any]], np.ndarray | None]
) -> np.ndarray | None:
    """The arrays that ``read`` returns for the parts, joined; None if one of them is None."""
    values = [read(part) for part in parts]
    known = [some for some in values if some is not None]
    return np.concatenate(known) if known and len(known) == len(values) else None


def _values(folder: Path, parts: Parts, name: str) -> np.ndarray:
    """The attribute ``name`` of each graph, [N]."""
    values = _of_graphs(parts, lambda part: read_graph_attribute(folder / part["file"], name))
    assert values is not None  # by ``check_kept``
    return values.reshape(-1)


def _strata(
    folder: Path, parts: Parts, labels: np.ndarray | None, stratify_by: str | None
) -> np.ndarray | None:
    """What a stratified split keeps the shares of, int64 [N]: classes, and values of an array."""
    if stratify_by is None:
        return labels
    return strata(_values(folder, parts, stratify_by), labels)


def _keys(folder: Path, parts: Parts) -> np.ndarray:
    """The key of each graph's sample, uint64 [N]."""
    return np.concatenate(
        [sample_keys(part["store"], read_sample_index(folder / part["file"])) for part in parts]
    )


def _check_not_empty(split: Mapping[str, np.ndarray], dataset: str | Path) -> None:
    for stage in STAGES:
        if len(split.get(stage, ())) == 0:
            counts = ", ".join(f"{len(split.get(name, ()))} {name}" for name in STAGES)
            raise ConfigError(
                f"{dataset} has no graphs for {stage} ({counts})",
                key=KEY,
                remedy="check data.files and pre_filter",
            )


def _write(path: str | Path, split: Mapping[str, Any]) -> None:
    """Write one line per key: faster and more readable than indented lists of many positions."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in split.items())
    write_text(path, f"{{\n{lines}\n}}\n")
