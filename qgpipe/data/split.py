"""Which graphs are for training, for validation and for testing.

The split depends on the data and the seed alone. Training positions are in the order in
which they were drawn, so that batches are mixed even if training does not shuffle;
validation and test positions ascend, so that they are read from disk in one sweep.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qgpipe.config.resolve import data_sources
from qgpipe.data.parts import read_targets
from qgpipe.errors import ConfigError
from qgpipe.files import read_json, write_text

FORMAT = 1
STAGES = ("train", "validation", "test")
TOLERANCE = 1e-6
KEY = "data.split"


def split_sizes(num_graphs: int, fractions: Sequence[float]) -> list[int]:
    """Numbers of training, validation and test graphs: ceil, floor, and the rest.

    ``fractions``: two (no test set) or three that sum to 1 within 1e-6. Fractions are
    trusted to that precision: 0.55 of 100 is 55, although in floating point it is more.
    Raises ``ConfigError`` if they do not sum to 1.
    """
    if abs(sum(fractions) - 1) > TOLERANCE:
        raise ConfigError(
            f"the shares {list(fractions)} sum to {sum(fractions):g}",
            key=KEY,
            remedy="they have to sum to 1",
        )
    slack = min(TOLERANCE * max(num_graphs, 1), 1e-3)
    train = min(int(np.ceil(fractions[0] * num_graphs - slack)), num_graphs)
    if len(fractions) == 2:
        return [train, num_graphs - train]
    validation = int(np.floor(fractions[1] * num_graphs + slack))
    validation = min(validation, num_graphs - train)
    return [train, validation, num_graphs - train - validation]


def make_split(
    num_graphs: int,
    fractions: Sequence[float],
    seed: int,
    method: str = "random",
    labels: np.ndarray | None = None,
    shuffle: bool = False,
    subset: float | None = None,
) -> dict[str, np.ndarray]:
    """Disjoint positions for ``train``, ``validation`` and, with three fractions, ``test``.

    ``method``: ``random``, or ``stratified``: the same share of every class, as nearly as the
    sizes allow (largest remainders). ``labels``: integers [num_graphs], for ``stratified``.
    ``shuffle``: shuffle before splitting. ``subset``: use this share (ceil), drawn without
    replacement. Returns int64 arrays.

    Raises ``ConfigError`` if the fractions are wrong, a part would be empty, or labels are
    missing.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    positions = _draw(np.arange(num_graphs), generator, shuffle, subset)
    sizes = split_sizes(len(positions), fractions)
    names = STAGES[: len(sizes)]
    if min(sizes) == 0:
        counts = ", ".join(f"{size} {name}" for name, size in zip(names, sizes, strict=True))
        raise ConfigError(
            f"{list(fractions)} of {len(positions)} graphs leaves a part empty ({counts})",
            key=KEY,
            remedy="use more graphs or a larger share",
        )
    if method == "stratified":
        if labels is None or np.asarray(labels).dtype.kind not in "biu":
            raise ConfigError(
                "stratified needs integer targets, one for each graph",
                key="data.split_method",
                remedy="use 'random'",
            )
        chunks = _stratified(positions, np.asarray(labels)[positions], sizes, generator)
    else:
        chunks = np.split(generator.permutation(positions), np.cumsum(sizes)[:-1])
    return _ordered(dict(zip(names, chunks, strict=True)))


def write_split(config: Mapping[str, Any], dataset: str | Path, output: str | Path) -> None:
    """Split the graphs of ``dataset`` (a ``dataset.json``) and write the positions.

    ``config``: the whole resolved configuration. Graphs of the top-level data are split by
    ``data.split``; those of a stage's own data (parts with its role) all belong to that stage.
    Raises ``ConfigError`` as :func:`make_split`, and if a stage gets no graphs.
    """
    description = read_json(dataset)
    parts = [part for part in description["parts"] if part["num_graphs"]]
    labels = _labels(Path(dataset).parent, parts)
    data, seed = config["data"], config["training"]["seed"]
    roles = np.repeat([part["role"] for part in parts], [part["num_graphs"] for part in parts])
    result: dict[str, np.ndarray] = {}
    for role, section in data_sources(config):
        positions = np.flatnonzero(roles == role)
        if role == "all":
            chosen = make_split(
                len(positions),
                data["split"],
                seed,
                data["split_method"],
                None if labels is None else labels[positions],
                data["shuffle"],
                data["subset"],
            )
            result |= {stage: positions[local] for stage, local in chosen.items()}
        else:
            generator = np.random.default_rng(np.random.SeedSequence((seed, STAGES.index(role))))
            result |= _ordered(
                {role: _draw(positions, generator, section["shuffle"], section["subset"])}
            )
    _check_not_empty(result, dataset)
    own = "all" not in roles
    _write(
        output,
        {
            "format": FORMAT,
            "method": "given" if own else data["split_method"],
            "seed": seed,
            "fractions": None if own else list(data["split"]),
            "num_graphs": len(roles),
            **{stage: result[stage].tolist() for stage in STAGES},
            "class_counts": None
            if labels is None
            else {stage: _count(labels[result[stage]]) for stage in STAGES},
        },
    )


def _draw(
    positions: np.ndarray, generator: np.random.Generator, shuffle: bool, subset: float | None
) -> np.ndarray:
    if subset is not None:
        count = min(int(np.ceil(subset * len(positions) - TOLERANCE)), len(positions))
        positions = np.sort(generator.choice(positions, count, replace=False, shuffle=False))
    return generator.permutation(positions) if shuffle else positions


def _ordered(chunks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {stage: chunk if stage == "train" else np.sort(chunk) for stage, chunk in chunks.items()}


def _stratified(
    positions: np.ndarray, labels: np.ndarray, sizes: Sequence[int], generator: np.random.Generator
) -> list[np.ndarray]:
    """Cut ``positions`` into chunks of ``sizes``, each with its share of every class."""
    order = generator.permutation(len(positions))
    positions, labels = positions[order], labels[order]
    chunks = []
    for size in sizes:
        _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
        quotas = _largest_remainders(counts, size)
        by_class = np.argsort(inverse, kind="stable")
        rank = np.empty(len(labels), np.int64)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        rank[by_class] = np.arange(len(labels)) - starts
        taken = rank < quotas[inverse]
        chunks.append(positions[taken])
        positions, labels = positions[~taken], labels[~taken]
    return chunks


def _largest_remainders(counts: np.ndarray, total: int) -> np.ndarray:
    """Integers in proportion to ``counts``, none above its count, that sum to ``total``."""
    whole, remainders = np.divmod(counts * total, max(int(counts.sum()), 1))
    missing = total - int(whole.sum())
    whole[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return whole


def _labels(folder: Path, parts: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
    """``y`` of all graphs if it is one integer a graph, else None."""
    labels = [read_targets(folder / part["file"]) for part in parts]
    known = [values for values in labels if values is not None]
    return np.concatenate(known) if known and len(known) == len(labels) else None


def _check_not_empty(split: Mapping[str, np.ndarray], dataset: str | Path) -> None:
    for stage in STAGES:
        if len(split.get(stage, ())) == 0:
            counts = ", ".join(f"{len(split.get(name, ()))} {name}" for name in STAGES)
            raise ConfigError(
                f"{dataset} has no graphs for {stage} ({counts})",
                key=KEY,
                remedy="check data.files and pre_filter",
            )


def _count(labels: np.ndarray) -> dict[str, int]:
    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))


def _write(path: str | Path, split: Mapping[str, Any]) -> None:
    """One line a key: a list of a million positions stays readable and quick to write."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in split.items())
    write_text(path, f"{{\n{lines}\n}}\n")
