"""Loaders of the three sets, from a configuration or from data sets."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch.distributed as dist
from torch.utils.data import DistributedSampler, Subset
from torch_geometric.loader import DataLoader

from qgpipe.compat.quantumgrav.base import ConfigurationError, errors_as_there, require_keys
from qgpipe.compat.quantumgrav.configuration import resolved
from qgpipe.compat.quantumgrav.dataset_ondisk import QGDataset
from qgpipe.config.resolve import ROLES
from qgpipe.config.schema import schema
from qgpipe.config.types import Config
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.data.splits.methods import Graphs, random_sets
from qgpipe.data.splits.sizes import require_filled, split_sizes
from qgpipe.training.distributed.process_group import ProcessGroup
from qgpipe.training.loaders import open_loaders
from qgpipe.training.prepare import prepare_data

SPLIT = (0.8, 0.1, 0.1)
_KEYS = (
    "batch_size", "num_workers", "pin_memory", "drop_last", "prefetch_factor", "persistent_workers",
    "shuffle",
)  # fmt: skip
_DATA = {"type": "object", "properties": schema()["$defs"]["data"]["properties"]}


class Three(NamedTuple):
    """What there is of the training, validation and test set."""

    train: Any
    validation: Any
    test: Any


class DataLoaderFactory:
    """Makes the data sets and loaders of a configuration.

    What it names is preprocessed and split as by the workflow, and loaded by
    ``qgpipe.GraphLoader``; other data sets by PyG's ``DataLoader``.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "required": [*ROLES],
        "properties": {
            "data": _DATA,
            **{stage: {"type": "object", "properties": {"data": _DATA}} for stage in ROLES},
        },
    }
    processes = 1  # that share a batch

    def __init__(self, config: Mapping[str, Any], logger: logging.Logger | None = None):
        """Raises ``jsonschema.ValidationError`` if a section is missing."""
        require_keys(config, tuple(self.schema["required"]))
        self.config = config
        self.logger = logger or logging.getLogger(__name__)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A factory for ``config``."""
        return cls(config)

    def prepare_dataset(
        self,
        dataset: Any = None,
        split: Sequence[float] = SPLIT,
        train_dataset: Any = None,
        val_dataset: Any = None,
        test_dataset: Any = None,
    ) -> Three:
        """The three sets: those given, parts of ``dataset``, or those of the configuration.

        ``split``: shares of the parts, if the configuration has none. Raises
        ``ConfigurationError``, also for an empty part.
        """
        given = Three(train_dataset, val_dataset, test_dataset)
        some = any(one is not None for one in given)
        if some and (dataset is not None or any(one is None for one in given)):
            raise ConfigurationError("give one data set to split, or all three", key="dataset")
        with errors_as_there():
            if some:
                return Three(*map(_transformed, given))
            if dataset is None:
                return Three(*(loader.dataset for loader in self._configured(split)))
            return self._parts(dataset, split)

    def prepare_dataloaders(
        self,
        dataset: Any = None,
        split: Sequence[float] = SPLIT,
        train_dataset: Any = None,
        val_dataset: Any = None,
        test_dataset: Any = None,
        training_sampler: Any = None,
    ) -> Three:
        """Loaders of the sets of ``prepare_dataset``; ``training_sampler``: order of the first."""
        sets = self.prepare_dataset(dataset, split, train_dataset, val_dataset, test_dataset)
        samplers = self._samplers(sets, training_sampler)
        config = self._resolved(split)
        with errors_as_there():
            loaders = Three(*map(self._loader, sets, samplers, ROLES, [config] * len(ROLES)))
        sizes = [len(loader.dataset) for loader in loaders]
        self.logger.info("graphs of training, validation and test set: %s", sizes)
        return loaders

    def _resolved(self, split: Sequence[float]) -> Config:
        config = {**self.config}
        if config.get("data"):
            config["data"] = {"split": list(split), **config["data"]}
        unused = ("model", "criterion", "apply_model", "early_stopping", "parallel")
        return resolved(config, (*unused, "validation.validator", "testing.tester"))

    def _configured(self, split: Sequence[float]) -> Any:
        if not any((self.config.get(part) or {}).get("data") for part in ROLES) and not (
            self.config.get("data")
        ):
            raise ConfigurationError("neither a data set nor a section 'data' is given", key="data")
        config = self._resolved(split)
        return open_loaders(config, *self._prepared(config))

    def _prepared(self, config: Config) -> tuple[Path, Path]:
        return prepare_data(config)

    def _parts(self, dataset: Any, split: Sequence[float]) -> Three:
        shares = (self.config.get("data") or {}).get("split") or split
        sizes = split_sizes(len(dataset), shares)
        require_filled(sizes, shares)
        generator = np.random.default_rng(self.config["training"]["seed"])
        places = random_sets(Graphs(np.arange(len(dataset))), sizes, generator)
        return Three(*(_part(dataset, some) for some in places))

    def _samplers(self, sets: Three, training_sampler: Any) -> Three:
        return Three(training_sampler, None, None)

    def _loader(self, graphs: Any, sampler: Any, stage: str, config: Config) -> Any:
        section: Any = config[stage]  # type: ignore[literal-required]
        options = {key: section[key] for key in _KEYS}
        if isinstance(graphs, PackedDataset) and sampler is None:
            options["batch_size"] *= self.processes
            return GraphLoader(graphs, seed=config["training"]["seed"], **options)
        if not options["num_workers"]:
            options |= {"prefetch_factor": None, "persistent_workers": False}
        options["shuffle"] = options["shuffle"] and sampler is None
        return DataLoader(graphs, sampler=sampler, **options)


class DistributedDataLoaderFactory(DataLoaderFactory):
    """Makes loaders for ``parallel.world_size`` processes.

    Loaders of preprocessed graphs give whole batches, of which ``TrainerDDP`` takes the part of
    its process; others have a ``DistributedSampler``.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        **DataLoaderFactory.schema,
        "required": ["parallel", *ROLES],
    }

    def __init__(
        self,
        config: Mapping[str, Any],
        logger: logging.Logger | None = None,
        rank: int | None = None,
    ):
        """``rank``: of this process, by default ``parallel.rank`` or 0."""
        super().__init__(config, logger)
        section = config["parallel"]
        self.rank = (section.get("rank") or 0) if rank is None else rank
        self.world_size = self.processes = section["world_size"]
        self.train_sampler: Any = None
        self.val_sampler: Any = None
        self.test_sampler: Any = None

    def _prepared(self, config: Config) -> tuple[Path, Path]:
        if not dist.is_initialized():
            return super()._prepared(config)
        return ProcessGroup().run_on_rank0(lambda: prepare_data(config))

    def _samplers(self, sets: Three, training_sampler: Any) -> Three:
        samplers = Three(
            *(
                DistributedSampler(one, self.world_size, self.rank, shuffle=one is sets.train)
                for one in sets
            )
        )
        self.train_sampler = training_sampler or samplers.train
        self.val_sampler, self.test_sampler = samplers.validation, samplers.test
        return Three(
            *(
                None if isinstance(one, PackedDataset) else sampler
                for one, sampler in zip(sets, (self.train_sampler, *samplers[1:]), strict=True)
            )
        )


def _part(dataset: Any, places: np.ndarray) -> Any:
    if isinstance(dataset, QGDataset) and dataset.packed is not None:
        dataset = dataset.packed
    return (
        dataset[places] if isinstance(dataset, PackedDataset) else Subset(dataset, places.tolist())
    )


def _transformed(dataset: Any) -> Any:
    return dataset.packed if isinstance(dataset, QGDataset) and dataset.packed else dataset
