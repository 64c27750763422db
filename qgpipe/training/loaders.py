"""Loaders of the training, validation and test set, and fingerprints of their data."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import nn

from qgpipe.config.resolve import data_source
from qgpipe.config.spec import build_object
from qgpipe.config.types import Config, LoaderSection
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.data.loading.samplers import build_sampler
from qgpipe.data.splits.sizes import STAGES, require_batches
from qgpipe.data.splits.split_file import read_split
from qgpipe.errors import DataError
from qgpipe.message_passing.format_choice import choose
from qgpipe.models.build import takes_adjacency
from qgpipe.system.device import resolve_device
from qgpipe.training.steps.outputs import is_binary, largest_class

logger = logging.getLogger(__name__)

_LoaderKey = Literal[
    "batch_size", "num_workers", "pin_memory", "drop_last", "prefetch_factor",
    "persistent_workers", "shuffle",
]  # fmt: skip
_LOADER_KEYS: tuple[_LoaderKey, ...] = get_args(_LoaderKey)

NAMES = ("node_features", "graph_features", "class_names", "target_name", "attributes")


class Loaders(NamedTuple):
    """The loaders of the three stages."""

    train: GraphLoader
    validation: GraphLoader
    test: GraphLoader


def open_loaders(config: Config, dataset_json: Path, split_json: Path) -> Loaders:
    """Loaders of the three sets of a split, for a resolved configuration.

    Without a ``validation`` section, the options of its loader are those of ``testing``. Raises
    ``DataError`` if the data is missing or damaged.
    """
    device = resolve_device(config["training"]["device"])
    sections = config["training"], config.get("validation", config["testing"]), config["testing"]
    whole = PackedDataset(dataset_json, residency=config["data"]["residency"], device=device)
    split = read_split(split_json, whole.len())
    require_batches(config, [len(split[role]) for role in STAGES])
    return Loaders(
        *(_open(whole, split, role, config, sections[i]) for i, role in enumerate(STAGES))
    )


def left_out_text(loader: Any) -> str | None:
    """The number of graphs that a loader leaves out, as the end of a message; None if none."""
    if not isinstance(loader, GraphLoader):
        return None
    graphs = len(loader.dataset)
    left_out = graphs - loader.num_graphs(0, len(loader))
    return f"{left_out} of {graphs} graphs" if left_out else None


def graph_targets(dataset: Any, of_all_sets: bool = False) -> torch.Tensor | None:
    """The targets (N,) or (N, T) of graphs, or elements; None if ``dataset`` is not packed.

    ``of_all_sets``: of the whole dataset, including validation and test set.
    """
    if not isinstance(dataset, PackedDataset):
        return None
    try:
        return torch.from_numpy(dataset.all_targets if of_all_sets else dataset.targets())
    except DataError:  # there are none, or they are targets of edges, for instance
        return None


def data_names(dataset: Any, kept: Iterable[str] = ()) -> dict[str, Any]:
    """Facts about the ``dataset`` that are stored with a model: names, and kinds of targets.

    For another type of dataset, those of them that it has as attributes. ``kept``: attributes of
    the graphs that are there for the split or the report; a model is not said to need them.
    """
    targets = graph_targets(dataset)
    names = {name: getattr(dataset, name, None) for name in NAMES}
    if names["attributes"]:
        names["attributes"] = {k: v for k, v in names["attributes"].items() if k not in kept}
    return {
        **names,
        "binary_target": None if targets is None else is_binary(targets).tolist(),
        "largest_class": None if targets is None else largest_class(targets),
    }


def select_edge_format(
    loaders: Iterable[Any], model: nn.Module, config: Config, device: torch.device
) -> None:
    """Set the edge format of ``loaders``: that of ``training.message_passing``, or the fastest.

    Loaders other than ``GraphLoader`` are not changed. Raises ``ConfigError`` for a format that is
    not deterministic on the device, if it has to be.
    """
    usual = config["apply_model"] is None and takes_adjacency(model)
    training = config["training"]
    requested, deterministic = training["message_passing"], training["deterministic"]
    choices = []
    for loader in loaders:
        if isinstance(loader, GraphLoader):
            choice = choose(
                requested, model, usual, loader.dataset.density, device.type, deterministic
            )
            loader.edge_format = choice.edge_format
            choices.append(choice)
    for choice in dict.fromkeys(choices):
        logger.info("message passing: %s (%s)", choice.edge_format, choice.reason)


def fingerprint_data(*loaders: Any) -> str:
    """A fingerprint of the datasets of ``loaders``, from the checksums of their parts.

    For loaders other than ``GraphLoader``, from the number of graphs.
    """
    return _digest([_parts(loader) for loader in loaders if loader is not None])


def fingerprint_split(*loaders: Any) -> str:
    """A fingerprint of the samples that ``loaders`` use, and of their order.

    For loaders other than ``GraphLoader``, from the number of batches.
    """
    return _digest([_sampling(loader) for loader in loaders if loader is not None])


def _parts(loader: Any) -> Any:
    if not isinstance(loader, GraphLoader):
        return f"{type(loader).__name__} of {len(loader.dataset)} graphs"
    return [part["checksum"] for part in loader.dataset.description["parts"]]


def _sampling(loader: Any) -> Any:
    if not isinstance(loader, GraphLoader):
        return f"{type(loader).__name__} of {len(loader)} batches"
    positions = np.ascontiguousarray(loader.dataset.positions, np.int64)
    return {
        "positions": hashlib.sha256(positions.tobytes()).hexdigest(),
        "batch_size": loader.batch_size,
        "drop_last": loader.drop_last,
        "shuffle": loader.shuffle,
        "seed": loader.seed,
        "bucket_by_size": loader.bucket_by_size,
        # One that draws other graphs is another setting, which the fingerprint of training has.
        **({"sampler": type(loader.sampler).__name__} if loader.sampler else {}),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _open(
    whole: PackedDataset,
    split: Mapping[str, np.ndarray],
    role: str,
    config: Config,
    section: LoaderSection,
) -> GraphLoader:
    dataset = whole[split[role]]
    dataset.transform = transform_of(config, role)
    options: dict[str, Any] = {key: section[key] for key in _LOADER_KEYS}
    if role == "train":
        training = config["training"]
        options["bucket_by_size"] = training["bucket_by_size"]
        options["sampler"] = build_sampler(training["sampler"], dataset, "training.sampler")
    return GraphLoader(dataset, seed=config["training"]["seed"], **options)


def transform_of(config: Config, role: str) -> Any:
    """The transform of the data that the set ``role`` is taken from, ``None`` if there is none."""
    transform = data_source(config, role)["transform"]
    return None if transform is None else build_object(transform, "data.transform")
