"""Loaders of the training, validation and test set, and what identifies their data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qgpipe.config.resolve import data_sources
from qgpipe.config.spec import build_object
from qgpipe.data.dataset import PackedDataset
from qgpipe.data.loader import GraphLoader
from qgpipe.files import read_json

_LOADER_KEYS = (
    "batch_size", "num_workers", "pin_memory", "drop_last", "prefetch_factor",
    "persistent_workers", "shuffle",
)  # fmt: skip


class Loaders(NamedTuple):
    """The loaders of the three stages."""

    train: GraphLoader
    validation: GraphLoader
    test: GraphLoader


def open_loaders(config: Mapping[str, Any], dataset_json: Path, split_json: Path) -> Loaders:
    """Loaders of the three parts of a split, as a resolved configuration says.

    Without a ``validation`` section its loader is like that of the test set. Raises
    ``DataError`` if the data is missing or damaged.
    """
    whole = PackedDataset(dataset_json, residency=config["data"]["residency"])
    split = read_json(split_json)
    testing = config["testing"]
    return Loaders(
        _open(whole, split, "train", config, config["training"]),
        _open(whole, split, "validation", config, config.get("validation", testing)),
        _open(whole, split, "test", config, testing),
    )


def fingerprint_data(loader: Any) -> str:
    """What identifies the data of ``loader``: checksums of its parts, its samples and their order.

    Of a loader of another kind than ``GraphLoader`` only the number of graphs is known.
    """
    if not isinstance(loader, GraphLoader):
        return f"{type(loader).__name__} of {len(loader.dataset)} graphs"
    dataset = loader.dataset
    digest = hashlib.sha256()
    digest.update(json.dumps([part["checksum"] for part in dataset.description["parts"]]).encode())
    digest.update(np.ascontiguousarray(dataset.positions, np.int64).tobytes())
    return digest.hexdigest()


def _open(
    whole: PackedDataset,
    split: Mapping[str, Any],
    role: str,
    config: Mapping[str, Any],
    section: Mapping[str, Any],
) -> GraphLoader:
    dataset = whole[np.array(split[role], np.int64)]
    dataset.transform = _transform(config, role)
    options = {key: section[key] for key in _LOADER_KEYS}
    return GraphLoader(dataset, seed=config["training"]["seed"], **options)


def _transform(config: Mapping[str, Any], role: str) -> Any:
    """The transform of the data set that ``role`` is taken from."""
    sources = dict(data_sources(config))
    transform = (sources.get(role) or sources["all"])["transform"]
    return None if transform is None else build_object(transform, "data.transform")
