"""What graphs held in memory have in common, on the host or on a device."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from qgpipe.data.graphs.batch import BatchRules
from qgpipe.data.graphs.packed import BitRows, NeighborLists, Packed
from qgpipe.data.graphs.row_axis import row_ptr, table
from qgpipe.data.graphs.select import follows
from qgpipe.message_passing.edge_batch import BitEdgeBatch, EdgeBatch, NeighborListBatch


class ResidentGraphs:
    """All graphs of ``packed`` as arrays whose rows are those of nodes, edges or graphs.

    ``packed`` has its edges as ``graphs.edge_formats`` makes them; ``compact``: batches are to have
    ``edge_batch``. A subclass gathers the rows of a batch and assembles it by ``_rules``.
    """

    def __init__(self, packed: Packed, compact: bool):
        self._arrays = table(packed)
        del self._arrays["sample_index"]
        if isinstance(packed.edges, BitRows):
            del self._arrays["num_edges"]  # known from edge_ptr
        self._ptrs = {f: row_ptr(packed, f) for f in follows(self._arrays) - {"graph"}}
        self._ptrs.setdefault("edge", packed.edge_ptr)
        self._follow = {n: self._arrays[f"attribute/{n}"].follow for n in packed.attributes}
        self._rules = BatchRules(packed, compact)
        self._listed = isinstance(packed.edges, NeighborLists)

    @staticmethod
    def can_hold(packed: Packed) -> bool:
        """Whether the edges of ``packed`` have an order in which they can be kept."""
        return isinstance(packed.edges, NeighborLists | BitRows)

    def _edge_batch(
        self, values: Mapping[str, Tensor], ptr: Tensor, sizes: np.ndarray, total: int
    ) -> EdgeBatch:
        """The edges of a batch, of which ``values`` are the rows gathered from the arrays."""
        if not self._listed:
            return BitEdgeBatch(values["bits"], ptr, sizes, total)
        lists, degrees, counts = (values[n] for n in ("lists", "degrees", "num_edges"))
        return NeighborListBatch(lists, degrees, ptr, counts, total)
