"""Training in a process group that the caller starts."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from qgpipe.compat.quantumgrav.dataloaders import SPLIT, DistributedDataLoaderFactory
from qgpipe.compat.quantumgrav.train import Trainer
from qgpipe.models.build import unwrapped
from qgpipe.training.distributed.process_group import ProcessGroup


def initialize_ddp(
    rank: int,
    worldsize: int,
    master_addr: str = "localhost",
    master_port: str = "12345",
    backend: str = "nccl",
) -> None:
    """Join the process group of ``worldsize`` processes as ``rank``.

    Raises ``RuntimeError`` if this process is in one already.
    """
    if dist.is_initialized():
        raise RuntimeError("this process is in a process group already; leave it by cleanup_ddp")
    os.environ |= {"MASTER_ADDR": master_addr, "MASTER_PORT": str(master_port)}
    dist.init_process_group(backend=backend, rank=rank, world_size=worldsize)


def cleanup_ddp() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            os.environ.pop(name, None)


class TrainerDDP(Trainer):
    """Trains together with the other ranks of the process group.

    Each rank computes its part of every batch of the loaders of ``DistributedDataLoaderFactory``.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        **Trainer.schema,
        "required": ["parallel", *Trainer.schema["required"]],
    }

    def __init__(self, rank: int, config: Mapping[str, Any]):
        """``rank``: of this process."""
        if torch.cuda.is_available() and config["training"].get("device") != "cpu":
            torch.cuda.set_device(rank)
        self.rank = rank
        super().__init__(config)
        self.world_size = config["parallel"]["world_size"]

    def _left_out(self) -> list[str]:
        return []

    def _new_folder(self) -> Path:
        own = super()._new_folder  # by the clock, so that of rank 0 is for all
        return ProcessGroup().run_on_rank0(own) if dist.is_initialized() else own()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TrainerDDP":
        """The trainer of the rank ``parallel.rank``, or 0."""
        return cls((config.get("parallel") or {}).get("rank") or 0, config)

    def initialize_model(self) -> Any:
        """A new model, shown as ``DistributedDataParallel``."""
        self._wrapped = None
        super().initialize_model()
        section = self.config["parallel"]
        devices = None if self.device.type == "cpu" else [self.device.index]
        self._wrapped = DistributedDataParallel(
            self._engine.model,
            device_ids=devices,
            find_unused_parameters=section.get("find_unused_parameters", False),
        )
        return self._wrapped

    @property
    def model(self) -> Any:
        """The model, as ``DistributedDataParallel``; None before ``initialize_model``."""
        return self._wrapped if self._made[0] else None

    @model.setter
    def model(self, value: Any) -> None:
        self._set_model(None if value is None else unwrapped(value))
        self._wrapped = value

    def prepare_dataloaders(self, dataset: Any = None, split: Any = SPLIT, **given: Any) -> Any:
        """As in ``DistributedDataLoaderFactory``; keeps data sets and samplers."""
        factory = DistributedDataLoaderFactory(self.config, self.logger, self.rank)
        loaders = factory.prepare_dataloaders(dataset, split, **given)
        self.train_dataset, self.val_dataset, self.test_dataset = (one.dataset for one in loaders)
        self.train_sampler, self.val_sampler = factory.train_sampler, factory.val_sampler
        self.test_sampler = factory.test_sampler
        return loaders

    def run_training(
        self, train_loader: Any, val_loader: Any = None, trial: Any = None
    ) -> tuple[Any, Any]:
        """As ``Trainer.run_training``: lists of the results, which are the same on all ranks."""
        training, validation = super().run_training(train_loader, val_loader, trial)
        return [training] * self.world_size, [validation] * self.world_size

    def save_checkpoint(self, name_addition: str = "") -> None:
        """As ``Trainer.save_checkpoint``, by rank 0 alone."""
        if self.rank == 0:
            super().save_checkpoint(name_addition)
