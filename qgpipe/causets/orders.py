"""Many causal sets at once, with the matrices that their observables share."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.bit_rows import column_counts, row_counts
from qgpipe.causets.order import interval_sizes, longest_chains

Values = NDArray[np.float32]


class Orders:
    """A block of B causal sets, padded to the same number of elements m.

    ``relations``: bool [B, m, m], entry [b, i, j] true iff i ≺ j in the causal set b; transitively
    closed, in any labelling. ``sizes``: int64 [B], numbers of elements n; entries beyond them are
    false. By default all causal sets have m elements.

    Each matrix is computed once, on first access. In the formulas A is the relation matrix and L
    the link matrix; past(i) and future(i) exclude i itself.
    """

    def __init__(self, relations: NDArray[np.bool_], sizes: NDArray[np.int64] | None = None):
        self.relations = relations
        count, side, _ = relations.shape
        self.sizes = np.full(count, side, np.int64) if sizes is None else sizes

    @classmethod
    def of(cls, relations: NDArray[np.bool_]) -> Orders:
        """A block of one causal set; ``relations``: bool [n, n]."""
        return cls(relations[None])

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Whether each index is an element, not padding, bool [B, m]."""
        return np.arange(self.relations.shape[1]) < self.sizes[:, None]

    @cached_property
    def intervals(self) -> Values:
        """Elements strictly between each pair: A², float32 [B, m, m].

        Products of BLAS in float32: the entries count elements, so they are exact below 2²⁴.
        """
        return interval_sizes(self.relations)

    @cached_property
    def links(self) -> NDArray[np.bool_]:
        """Link matrix L, bool [B, m, m]: A_ij and (A²)_ij = 0."""
        return self.relations & (self.intervals == 0)

    @cached_property
    def chains(self) -> tuple[Values, Values]:
        """Links of the longest chain that ends, and starts, at each element, float32 [B, m]."""
        return longest_chains(self.relations, self.in_degree)

    @cached_property
    def in_degree(self) -> Values:
        """|past(i)| = Σ_j A_ji, float32 [B, m]."""
        return column_counts(self.relations).astype(np.float32)

    @cached_property
    def out_degree(self) -> Values:
        """|future(i)| = Σ_j A_ij, float32 [B, m]."""
        return row_counts(self.relations).astype(np.float32)

    @cached_property
    def two_chains_past(self) -> Values:
        """Chains j ≺ k ≺ i: Σ_j (A²)_ji, float32 [B, m]."""
        return self.intervals.sum(axis=1)

    @cached_property
    def two_chains_future(self) -> Values:
        """Chains i ≺ j ≺ k: Σ_k (A²)_ik, float32 [B, m]."""
        return self.intervals.sum(axis=2)

    @cached_property
    def num_relations(self) -> NDArray[np.int64]:
        """Related pairs, Σ_ij A_ij, int64 [B]."""
        return row_counts(self.relations).sum(axis=1)

    def first_gap(self, index: int) -> tuple[int, int, int] | None:
        """i ≺ k ≺ j without i ≺ j in the causal set ``index``; None if it is transitive."""
        gaps = np.argwhere((self.intervals[index] > 0) & ~self.relations[index])
        if not len(gaps):
            return None
        i, j = gaps[0].tolist()
        between = self.relations[index, i] & self.relations[index, :, j]
        return i, int(np.argmax(between)), j

    @cached_property
    def transitive(self) -> NDArray[np.bool_]:
        """Whether each relation is transitive, bool [B]: A_ij wherever (A²)_ij > 0."""
        return np.logical_not(((self.intervals > 0) & ~self.relations).any(axis=(1, 2)))
