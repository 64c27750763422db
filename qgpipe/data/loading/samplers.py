"""Which graphs an epoch draws, if not each of them once: a pure function of seed and epoch."""

import inspect
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from qgpipe.config.objects import import_objects
from qgpipe.config.spec import Spec, as_spec
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.errors import ConfigError, DataError
from qgpipe.system.rng import random_numbers_kept, seed_everything

WEIGHTED = "weighted"


class Sampler(Protocol):
    """Chooses the graphs of an epoch."""

    def draw(self, seed: int, epoch: int) -> np.ndarray:
        """Indices of graphs in the data set of ``N``, int64 [N]."""


@dataclass(frozen=True)
class ByClass:
    """Draws with replacement, from every class as often on average.

    ``classes``: int64 [N], of each graph.
    """

    classes: np.ndarray

    def draw(self, seed: int, epoch: int) -> np.ndarray:
        """See ``Sampler``: first a class, uniformly, then one of its graphs."""
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch, 1))))
        _, counts = np.unique(self.classes, return_counts=True)
        members = np.argsort(self.classes, kind="stable")  # class after class
        chosen = generator.integers(len(counts), size=len(members))
        within = (generator.random(len(members)) * counts[chosen]).astype(np.int64)
        return members[(np.cumsum(counts) - counts)[chosen] + within]


@dataclass(frozen=True)
class Constructed:
    """Draws what a ``torch.utils.data.Sampler`` gives, which is constructed for each epoch.

    It gets the ``dataset`` if it takes a ``data_source`` or ``dataset``. Python, NumPy and torch
    are seeded before, and left as they were.
    """

    spec: Spec
    dataset: PackedDataset

    def draw(self, seed: int, epoch: int) -> np.ndarray:
        """See ``Sampler``. Raises ``ConfigError`` if there are more or fewer indices, or others."""
        state = np.random.SeedSequence((seed, epoch, 1)).generate_state(1, np.uint64)
        with random_numbers_kept():
            seed_everything(int(state[0] >> 1))
            indices = np.fromiter(map(int, self._build()), np.int64)
        size = len(self.dataset)
        if len(indices) != size or not (0 <= indices.min() <= indices.max() < size):
            raise ConfigError(
                f"it gives {len(indices)} indices from {indices.min(initial=0)} to "
                f"{indices.max(initial=0)} for {size} graphs of the training set",
                key=self.spec.key,
                remedy=f"let it give {size} indices from 0 to {size - 1}",
            )
        return indices

    def _build(self) -> Any:
        names = inspect.signature(self.spec.type).parameters
        given = {name: self.dataset for name in ("data_source", "dataset") if name in names}
        spec = self.spec
        return Spec(spec.type, spec.args, {**given, **spec.kwargs}, key=spec.key).build()


def build_sampler(value: Any, dataset: PackedDataset, key: str) -> Sampler | None:
    """The sampler for ``value``: None, ``weighted``, or a spec.

    Raises ``ConfigError`` with ``key`` if it cannot be constructed, or if the graphs of ``dataset``
    have no classes.
    """
    if value is None:
        return None
    if value == WEIGHTED:
        try:
            targets = dataset.targets()
        except DataError:
            targets = np.zeros(0)
        if targets.shape != (len(dataset),) or targets.dtype.kind not in "biu":
            raise ConfigError(
                "the graphs have no classes to draw equally often",
                key=key,
                remedy="name an integer target of causal sets, or a sampler of your own",
            )
        return ByClass(targets.astype(np.int64))
    spec = as_spec(value, key)
    args = tuple(import_objects(list(spec.args), f"{key}.args"))
    kwargs = import_objects(spec.kwargs, f"{key}.kwargs")
    return Constructed(Spec(spec.type, args, kwargs, key=key), dataset)
