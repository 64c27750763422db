"""Vectorised checks of samples while they are read; the samples that fail are reported."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qgpipe.data.graphs.relation_bits import contradictions, intransitive
from qgpipe.data.raw import naming
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.raw.columns import Columns
from qgpipe.data.raw.samples import Samples
from qgpipe.data.raw.store_files import memory
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.errors import shown


@dataclass(frozen=True)
class Checks:
    """Which checks are applied to the samples read from ``columns``.

    ``bad``: receives the samples that fail. ``values``: check values and relations; sizes are
    always checked. ``order``: also check that relations are transitive.
    """

    columns: Columns
    bad: BadSamples
    values: bool = True
    order: bool = False

    @property
    def store(self) -> StoreInfo:
        """The store that is read."""
        return self.bad.store

    def sizes(self, sizes: np.ndarray, first_sample: int) -> np.ndarray:
        """``sizes`` (int64 [N]) with a zero for each sample without 1 to n elements.

        n is the side of the adjacency matrices, or what the arrays are padded to.
        """
        columns = self.columns
        padded = columns.elements if self.store.edges != "own" else None
        largest = padded or math.isqrt(memory())
        fit = "an adjacency of" if columns.edges is None else "relations of at most"
        wrong = (sizes < 1) | (sizes > largest)
        for place in np.flatnonzero(wrong):
            self.bad.report(
                first_sample + int(place),
                f"a size of {sizes[place]} does not fit {fit} {largest} x {largest}",
                columns.size.name if columns.size else columns.adjacency.name,
                "sizes are from 1 to n; name the array of sizes with 'size' in the reader's "
                "kwargs, or set data.on_bad_sample to skip",
            )
        return np.where(wrong, 0, sizes)

    def entries(
        self, values: np.ndarray, sizes: np.ndarray, first_sample: int, first_target: int = 0
    ) -> None:
        """Report samples with an entry that is neither zero nor one.

        ``values``: [B, targets, sources], whose first target is ``first_target``. Entries beyond a
        causal set's size (``sizes``: [B]) are ignored.
        """
        place, target, source = np.nonzero((values != 0) & (values != 1))
        target = target + first_target
        inside = (target < sizes[place]) & (source < sizes[place])
        place, target, source = place[inside], target[inside], source[inside]
        for k in _first_of_each(place):
            value = values[place[k], target[k] - first_target, source[k]]
            self._report_relations(
                first_sample + int(place[k]),
                f"a relation is 0 or 1, but the entry [{target[k]}, {source[k]}] is {value:g}",
            )

    def relations(self, block: np.ndarray, rows: np.ndarray, first_sample: int) -> None:
        """Report samples whose relations are not a partial order.

        ``rows``: the result of :func:`qgpipe.data.graphs.relation_bits.adjacency_rows` for
        ``block``.
        """
        if self.values:
            found = contradictions(block, rows)
            for place, source, target in found[_first_of_each(found[:, 0])].tolist():
                self._report_disorder(first_sample + place, both_ways(source, target))
        if self.order:
            for place, *chain in intransitive(rows).tolist():
                self._report_disorder(first_sample + place, not_transitive(*chain))

    def gap(self, index: int, first: int, second: int, third: int) -> None:
        """Report that the relations of the sample ``index`` are not transitive."""
        self._report_disorder(index, not_transitive(first, second, third))

    def samples(self, samples: Samples, reals: np.dtype | None = None) -> None:
        """Report values that are not finite (also after conversion to ``reals``), and unnamed
        classes.

        Path lengths may hold NaN, which is read as 0, and so may what is kept: not known.
        """
        if not self.values:
            return
        ends = np.cumsum(samples.sizes)
        for array in self.columns.node:
            values = samples.node[array.name]
            if naming.is_path_length(array.name) and values.dtype.kind == "f":
                values = np.where(np.isnan(values), 0, values)
            self._finite(array.name, values, samples.index, ends, reals)
        used = {*self.columns.graph, *self.columns.target}
        for array in self.columns.of_graphs:
            values, becomes = samples.graph[array.name], reals
            if array not in used:
                becomes = None
                values = (
                    np.where(np.isnan(values), 0, values) if values.dtype.kind == "f" else values
                )
            self._finite(array.name, values, samples.index, None, becomes)
        if self.columns.class_names:
            self._classes(samples)

    def _finite(
        self,
        name: str,
        values: np.ndarray,
        index: np.ndarray,
        ends: np.ndarray | None,
        reals: np.dtype | None,
    ) -> None:
        """``ends``: where each sample's rows end, [N]; None for one row per sample."""
        if values.dtype.kind != "f" or not len(values):
            return
        if reals is not None and values.dtype.itemsize > reals.itemsize and reals.kind == "f":
            finite = np.abs(values) <= np.finfo(reals).max
        else:
            finite = np.isfinite(values)
        if finite.all():
            return
        flat = values.reshape(len(values), -1)
        row, column = np.nonzero(~finite.reshape(flat.shape))
        place = row if ends is None else np.searchsorted(ends, row, side="right")
        for k in _first_of_each(place):
            value = flat[row[k], column[k]]
            problem = (
                f"the value {value} is not finite{f' as {reals}' if np.isfinite(value) else ''}"
            )
            self.bad.report(int(index[place[k]]), problem, name)

    def _classes(self, samples: Samples) -> None:
        target = self.columns.class_target
        if target is None or not len(samples.index):
            return
        level = samples.node if self.columns.node_target else samples.graph
        values = level[target.name]
        stored = values.reshape(len(values), -1)
        given = self.columns.classes
        classes = stored.astype(np.int64) if given is None else class_numbers(given, stored)
        known = len(self.columns.class_names or ())
        row, column = np.nonzero((classes < 0) | (classes >= known))
        ends = np.cumsum(samples.sizes)
        place = np.searchsorted(ends, row, side="right") if self.columns.node_target else row
        for k in _first_of_each(place):
            value = int(stored[row[k], column[k]])
            problem = f"class {value} has no name; there are {known} names"
            remedy = "name every class in 'class_names' of the reader's kwargs"
            if given is not None:
                problem = f"the value {value} is none of 'classes' {shown([*given])}"
                remedy = "list every value of the target in 'classes' of the reader's kwargs"
            self.bad.report(int(samples.index[place[k]]), problem, target.name, remedy)

    def _report_disorder(self, index: int, problem: str) -> None:
        self._report_relations(index, f"this is no partial order: {problem}")

    def _report_relations(self, index: int, problem: str) -> None:
        self.bad.report(index, problem, self.columns.adjacency.name)


def class_numbers(classes: Sequence[int], values: np.ndarray) -> np.ndarray:
    """The place of each of ``values`` in ``classes``, int64 of the same shape; -1 if none."""
    order = np.argsort(classes)
    ascending = np.array(classes, np.int64)[order]
    place = np.minimum(np.searchsorted(ascending, values), len(classes) - 1)
    return np.where(ascending[place] == values, order[place], -1)


def both_ways(source: int, target: int) -> str:
    """What is wrong with elements that precede each other, or with one that precedes itself."""
    if source == target:
        return f"element {source} precedes itself"
    return f"elements {source} and {target} precede each other"


def not_transitive(first: int, second: int, third: int) -> str:
    """What is wrong with a chain whose ends are not related."""
    return f"element {first} precedes {second}, which precedes {third}, but {first} does not"


def _first_of_each(places: np.ndarray) -> list[int]:
    """Where each value of ``places`` (ascending) occurs first."""
    return np.unique(places, return_index=True)[1].tolist()
