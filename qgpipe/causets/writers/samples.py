"""The causal sets of a store, each generated from its own seed."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.features import compute
from qgpipe.causets.generators.classes import CausalSetClass, resolve_classes
from qgpipe.causets.observables import GRAPH, NODE
from qgpipe.causets.orders import Orders
from qgpipe.config.types import GenerateSection
from qgpipe.errors import ConfigError

NODE_ARRAYS = NODE[:12]  # the same in every generated store: new observables are not added
GRAPH_ARRAYS = GRAPH[:4]
ABUNDANCES = "interval_abundances"


@dataclass(frozen=True)
class Sample:
    """One causal set of a store, with its observables.

    ``node_arrays`` are float32 (n,), ``graph_arrays`` float32 () or (k,).
    """

    causal_set: CausalSet
    links: NDArray[np.bool_]
    class_code: int
    node_arrays: dict[str, NDArray[np.float32]]
    graph_arrays: dict[str, NDArray[np.float32]]


class SampleSource:
    """Sample i of a store, as a function of the configuration, the store's name and i only.

    ``config`` is the resolved ``generate`` section. Classes alternate: sample i has class i modulo
    their number. Raises ``ConfigError`` if the section is invalid.
    """

    def __init__(self, config: GenerateSection, store: str):
        self.classes: list[CausalSetClass] = resolve_classes(config["classes"])
        self.num_samples: int = config["num_samples"]
        self.smallest, self.largest = config["size"]
        if self.smallest > self.largest:
            raise ConfigError(
                f"the smallest size, {self.smallest}, is above the largest, {self.largest}",
                key="generate.size",
                remedy="give [smallest, largest]",
            )
        self._seed: int = config["seed"]
        digest = hashlib.sha256(store.encode()).digest()
        self._store_key = tuple(int(word) for word in np.frombuffer(digest[:16], "<u4"))

    def rng(self, index: int) -> np.random.Generator:
        """The random number generator of sample ``index``."""
        sequence = np.random.SeedSequence(self._seed, spawn_key=(*self._store_key, index))
        return np.random.default_rng(sequence)

    def causal_set(self, index: int) -> CausalSet:
        """Sample ``index`` without its observables."""
        rng = self.rng(index)
        n = int(rng.integers(self.smallest, self.largest + 1))
        return self.classes[index % len(self.classes)].generate(rng, n)

    def gives_curvature(self) -> bool:
        """Whether the first sample of every class has a curvature."""
        first = range(min(len(self.classes), self.num_samples))
        return all(self.causal_set(index).curvature is not None for index in first)

    def samples(self, first: int, last: int, with_curvature: bool) -> list[Sample]:
        """Samples ``first:last`` with all observables, and the Ricci scalar if ``with_curvature``.

        All of them are in memory at once, as a block of matrices.
        """
        causal_sets = [self.causal_set(index) for index in range(first, last)]
        sizes = np.array([len(causal_set.relations) for causal_set in causal_sets], np.int64)
        block = np.zeros((len(sizes), sizes.max(), sizes.max()), bool)
        for relations, causal_set, n in zip(block, causal_sets, sizes, strict=True):
            relations[:n, :n] = causal_set.relations
        orders = Orders(block, sizes)
        nodes = {name: compute(name, orders) for name in NODE_ARRAYS}
        graphs = {name: compute(name, orders) for name in (*GRAPH_ARRAYS, ABUNDANCES)}
        return [
            Sample(
                causal_set,
                orders.links[k, :n, :n],
                (first + k) % len(self.classes),
                {
                    **{name: values[k, :n] for name, values in nodes.items()},
                    **(self._curvature(first + k, causal_set) if with_curvature else {}),
                },
                {
                    **{name: graphs[name][k, 0] for name in GRAPH_ARRAYS},
                    ABUNDANCES: graphs[ABUNDANCES][k],
                },
            )
            for k, (causal_set, n) in enumerate(zip(causal_sets, sizes, strict=True))
        ]

    def _curvature(self, index: int, causal_set: CausalSet) -> dict[str, NDArray[np.float32]]:
        if causal_set.curvature is None:
            made_by = self.classes[index % len(self.classes)]
            raise ConfigError(
                f"'{made_by.name}' gave a curvature for its first causal set, "
                f"but none for sample {index}",
                key=made_by.key,
            )
        return {"curvature": causal_set.curvature.astype(np.float32)}
