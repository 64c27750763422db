"""Causal sets of a store, each from a seed of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.classes import CausalSetClass, resolve_classes
from qgpipe.causets.observables import (
    GRAPH_OBSERVABLES,
    NODE_OBSERVABLES,
    Order,
    interval_abundances,
)
from qgpipe.config.types import GenerateSection
from qgpipe.errors import ConfigError


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
    """Sample i of a store, as a function of the configuration, the store's name and i alone.

    ``config`` is the resolved ``generate`` section. Classes take turns: sample i is of
    class i modulo their number. Raises ``ConfigError`` if the section cannot be followed.
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
        """The random numbers of sample ``index``."""
        sequence = np.random.SeedSequence(self._seed, spawn_key=(*self._store_key, index))
        return np.random.default_rng(sequence)

    def causal_set(self, index: int) -> CausalSet:
        """Sample ``index`` without its observables."""
        rng = self.rng(index)
        n = int(rng.integers(self.smallest, self.largest + 1))
        return self.classes[index % len(self.classes)].generate(rng, n)

    def gives_curvature(self) -> bool:
        """Whether every class knows the curvature at its elements, judged by its first sample."""
        first = range(min(len(self.classes), self.num_samples))
        return all(self.causal_set(index).curvature is not None for index in first)

    def sample(self, index: int, with_curvature: bool) -> Sample:
        """Sample ``index`` with all observables, and the Ricci scalar if ``with_curvature``."""
        causal_set = self.causal_set(index)
        order = Order(causal_set.relations)
        code = index % len(self.classes)
        nodes = {name: function(order) for name, function in NODE_OBSERVABLES.items()}
        if with_curvature:
            if causal_set.curvature is None:
                raise ConfigError(
                    f"'{self.classes[code].name}' gave a curvature for its first causal set, "
                    f"but none for sample {index}",
                    key=self.classes[code].key,
                )
            nodes["curvature"] = causal_set.curvature.astype(np.float32)
        graphs = {name: np.array(f(order), np.float32) for name, f in GRAPH_OBSERVABLES.items()}
        graphs["interval_abundances"] = interval_abundances(order)
        return Sample(causal_set, order.links, code, nodes, graphs)
