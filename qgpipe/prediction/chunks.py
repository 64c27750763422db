"""Reads the graphs of a store in chunks, with the settings of the test set."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from qgpipe.config.resolve import data_source
from qgpipe.config.types import Config
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.prediction.parts import read_parts


def read_chunks(
    config: Config,
    path: Path,
    name: str,
    trained: Mapping[str, Any],
    folder: Path,
    processes: int,
    device: torch.device,
) -> Iterator[PackedDataset]:
    """The store ``path`` in data sets of ``data.chunksize`` samples; empty ones are skipped.

    Arguments and exceptions are those of :func:`qgpipe.prediction.parts.read_parts`; ``trained``:
    the facts in the model's file.
    """
    store, dataset_json = open_store(path), folder / "dataset.json"
    facts = {"name": name, "path": str(path), "layout": store.layout, "role": "all"}
    residency = data_source(config, "test")["residency"]
    for part, _ in read_parts(config, path, name, trained, folder, processes):
        write_dataset([part], [{**facts, "num_samples": store.num_samples}], dataset_json)
        yield PackedDataset(dataset_json, None, None, residency, device)
