"""The causal sets of a store, each generated from its own seed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet, Values
from qgpipe.causets.features import compute
from qgpipe.causets.generators.classes import CausalSetClass, resolve_classes
from qgpipe.causets.observables import GRAPH, NODE
from qgpipe.causets.order import is_natural
from qgpipe.causets.orders import Orders
from qgpipe.config.types import GenerateSection
from qgpipe.errors import ConfigError

NODE_ARRAYS = NODE[:12]  # the same in every generated store: new observables are not added
GRAPH_ARRAYS = GRAPH[:4]
ABUNDANCES = "interval_abundances"

_TAKEN = {
    "adj", "adjacency_matrix", "linkmat", "link_matrix", "manifold_like", "cset_type", "cset_size",
    "curvature", "num_samples", *NODE_ARRAYS, *GRAPH_ARRAYS, ABUNDANCES,
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One causal set of a store, with its observables and what it was made of.

    ``node_arrays`` are (n,) or (n, k), ``graph_arrays`` () or (k,), float32 or int64.
    """

    causal_set: CausalSet
    links: NDArray[np.bool_]
    class_code: int
    node_arrays: dict[str, Values]
    graph_arrays: dict[str, Values]


@dataclass(frozen=True)
class Kept:
    """An array of what causal sets were made of, in a store.

    ``dtype``: int64 or float32. ``width``: number of columns; None if there is one number for each
    causal set, or element.
    """

    dtype: np.dtype
    width: int | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a causal set, or an element."""
        return () if self.width is None else (self.width,)

    def empty(self, *shape: int) -> Values:
        """An array with nothing in it: -1, or NaN."""
        return np.full((*shape, *self.shape), -1 if self.dtype.kind == "i" else np.nan, self.dtype)

    def joined(self, other: "Kept | None") -> "Kept":
        """What holds the values of both."""
        if other is None:
            return self
        widths = [one.width for one in (self, other) if one.width is not None]
        return Kept(np.promote_types(self.dtype, other.dtype), max(widths, default=None))

    def holds(self, values: Values, axes: int) -> bool:
        """Whether ``values`` fit in, after ``axes`` axes that are as they should be."""
        return _kept(values, axes).joined(self) == self


@dataclass(frozen=True)
class Description:
    """The arrays of a store that depend on its classes.

    ``curvature``: whether every class has one; ``of_elements``, ``made_of``: those of
    :class:`~qgpipe.causets.causal_set.CausalSet`, by name.
    """

    curvature: bool
    of_elements: dict[str, Kept]
    made_of: dict[str, Kept]


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
        causal_set = self._unchecked(index)
        self._class(index).require_order(causal_set.relations)
        return causal_set

    def description(self) -> Description:
        """The arrays that the first sample of every class has.

        A class without one of them has -1 or NaN there. Raises ``ConfigError`` if an array has the
        name of another one of the store.
        """
        of_elements: dict[str, Kept] = {}
        made_of: dict[str, Kept] = {}
        curved = True
        for index in range(min(len(self.classes), self.num_samples)):
            made = self._unchecked(index)
            curved &= made.curvature is not None
            for axes, kept, given in (1, of_elements, made.of_elements), (0, made_of, made.made_of):
                for name, values in given.items():
                    if name in _TAKEN or name in (made_of if axes else of_elements):
                        self._refuse(index, f"keeps '{name}', which is another array of the store")
                    kept[name] = _kept(np.asarray(values), axes).joined(kept.get(name))
        return Description(curved, of_elements, made_of)

    def samples(self, first: int, last: int, description: Description) -> list[Sample]:
        """Samples ``first:last`` with all observables, and what ``description`` says.

        All of them are in memory at once, as a block of matrices. Whether they are partial orders
        is seen from the same products as the observables.
        """
        causal_sets = [self._unchecked(index) for index in range(first, last)]
        sizes = np.array([len(causal_set.relations) for causal_set in causal_sets], np.int64)
        block = np.zeros((len(sizes), sizes.max(), sizes.max()), bool)
        for relations, causal_set, n in zip(block, causal_sets, sizes, strict=True):
            relations[:n, :n] = causal_set.relations
        orders = Orders(block, sizes)
        if not (is_natural(block) and orders.transitive.all()):
            for index, causal_set in enumerate(causal_sets, first):
                self._class(index).require_order(causal_set.relations)
        nodes = {name: compute(name, orders) for name in NODE_ARRAYS}
        graphs = {name: compute(name, orders) for name in (*GRAPH_ARRAYS, ABUNDANCES)}
        return [
            Sample(
                causal_set,
                orders.links[k, :n, :n],
                (first + k) % len(self.classes),
                {
                    **{name: values[k, :n] for name, values in nodes.items()},
                    **(self._curvature(first + k, causal_set) if description.curvature else {}),
                    **self._fitted(
                        first + k, description.of_elements, causal_set.of_elements, (int(n),)
                    ),
                },
                {
                    **{name: graphs[name][k, 0] for name in GRAPH_ARRAYS},
                    ABUNDANCES: graphs[ABUNDANCES][k],
                    **self._fitted(first + k, description.made_of, causal_set.made_of, ()),
                },
            )
            for k, (causal_set, n) in enumerate(zip(causal_sets, sizes, strict=True))
        ]

    def _class(self, index: int) -> CausalSetClass:
        return self.classes[index % len(self.classes)]

    def _unchecked(self, index: int) -> CausalSet:
        rng = self.rng(index)
        n = int(rng.integers(self.smallest, self.largest + 1))
        return self._class(index).generate_unchecked(rng, n)

    def _curvature(self, index: int, causal_set: CausalSet) -> dict[str, Values]:
        if causal_set.curvature is None:
            self._refuse(index, "gave a curvature for its first causal set, but none")
        return {"curvature": causal_set.curvature.astype(np.float32)}

    def _fitted(
        self,
        index: int,
        kept: Mapping[str, Kept],
        given: Mapping[str, Any],
        shape: tuple[int, ...],
    ) -> dict[str, Values]:
        """The arrays ``kept``, with what is ``given`` of the causal set ``index``."""
        if unknown := sorted(set(given) - set(kept)):
            self._refuse(index, f"did not keep '{unknown[0]}' for its first causal set, but does")
        return {
            name: self._padded(index, name, one, np.asarray(given[name]), shape)
            if name in given
            else one.empty(*shape)
            for name, one in kept.items()
        }

    def _padded(
        self, index: int, name: str, kept: Kept, values: Values, shape: tuple[int, ...]
    ) -> Values:
        """``values``, of an array of the given name, in its type and width."""
        wanted, numbers = (*shape, *kept.shape), "biu" if kept.dtype.kind == "i" else "biuf"
        if values.shape == wanted and values.dtype.kind in numbers:
            return values.astype(kept.dtype)
        columns = values.reshape(*shape, -1) if values.shape[: len(shape)] == shape else None
        if columns is None or not kept.holds(values, len(shape)):
            found = f"{values.dtype} of shape {values.shape}"
            self._refuse(index, f"keeps '{name}' as {found}, not {kept.dtype} of shape {wanted},")
        padded = kept.empty(*shape)
        padded[..., : columns.shape[-1]] = columns
        return padded

    def _refuse(self, index: int, problem: str) -> NoReturn:
        made_by = self._class(index)
        raise ConfigError(f"'{made_by.name}' {problem} for sample {index}", key=made_by.key)


def _kept(values: Values, axes: int) -> Kept:
    """How ``values`` are stored, after the first ``axes`` axes."""
    dtype = np.dtype(np.int64 if values.dtype.kind in "biu" else np.float32)
    return Kept(dtype, None if values.ndim == axes else int(np.prod(values.shape[axes:])))
