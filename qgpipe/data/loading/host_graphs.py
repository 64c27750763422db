"""Graphs in memory, of which several batches are put together at once."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch

from qgpipe.data.graphs.batch import Parts
from qgpipe.data.graphs.packed import Packed, ranges
from qgpipe.data.loading.resident_graphs import ResidentGraphs

_EDGE_ROWS = ("bits", "lists", "degrees", "num_edges")
ALIGNED = 64  # rows; so that each batch starts at a multiple of 64 bytes, whatever a row takes


class HostGraphs(ResidentGraphs):
    """Graphs from which batches are gathered in the memory of the host.

    A call into numpy takes as long as to copy a small batch, so each serves several batches,
    whose tensors are then views of what was gathered.
    """

    def __init__(self, packed: Packed):
        super().__init__(packed, compact=True)
        self._types = {n: torch.from_numpy(rows.values[:0]) for n, rows in self._arrays.items()}

    def batches(self, positions: np.ndarray, names: np.ndarray | None = None) -> list[Batch]:
        """The graphs at ``positions``, int64 [K, B], as ``K`` batches.

        ``names``: int64 [K, B], what the batches call these positions (the same).
        """
        ragged = {follow: _Layout(ptr, positions) for follow, ptr in self._ptrs.items()}
        layouts: dict[str, _Layout | _Graphs] = {**ragged, "graph": _Graphs(positions)}
        values = {
            name: layouts[rows.follow].split(self._gathered(name, layouts[rows.follow].index))
            for name, rows in self._arrays.items()
        }
        nodes, edges = ragged["node"], ragged["edge"]
        graph = nodes.split(torch.from_numpy(nodes.spread(np.arange(positions.shape[1]))))
        slices = {name: layouts[follow].slices for name, follow in self._follow.items()}
        slices["edge_index"] = edges.slices
        called = torch.from_numpy(positions.copy() if names is None else names).unbind()
        edge_rows = [(name, values[name]) for name in _EDGE_ROWS if name in values]
        batches = []
        for k, total in enumerate(edges.rows.tolist()):
            ptr, sizes = nodes.slices[k], nodes.counts[k]
            parts = Parts(
                {name: values[f"attribute/{name}"][k] for name in self._follow},
                {name: rows[k] for name, rows in slices.items()},
                nodes.starts[k],
                ptr,
                graph[k],
                sizes,
                None,
                self._edge_batch({n: rows[k] for n, rows in edge_rows}, ptr, sizes, total),
            )
            batches.append(self._rules.assemble(parts, called[k]))
        return batches

    def _gathered(self, name: str, index: np.ndarray) -> Tensor:
        values = self._arrays[name].values
        result = self._types[name].new_empty((len(index), *values.shape[1:]))
        # What fills the last rows of a batch may lie beyond the end: clipped.
        values.take(index, axis=0, out=result.numpy(), mode="clip")
        return result


class _Layout:
    """Where the rows of graphs lie, and where they go: batch after batch.

    Each batch starts at a multiple of ``ALIGNED`` rows. How numbers are aligned can change the
    order in which they are summed, and so the last bit of a result, which must not depend on the
    batches that are put together at once.

    ``ptr``: int64 [N+1], rows of all graphs; ``positions``: int64 [K, B].
    """

    def __init__(self, ptr: np.ndarray, positions: np.ndarray):
        count, size = positions.shape
        first = ptr[positions]
        self.counts = ptr[positions + 1] - first
        self._ends = np.zeros((count, size + 1), np.int64)
        np.cumsum(self.counts, axis=1, out=self._ends[:, 1:])
        self.rows = self._ends[:, -1]
        self._filling = -self.rows % ALIGNED
        self._first = first

    @cached_property
    def slices(self) -> tuple[Tensor, ...]:
        """Offsets of the graphs in each batch, int64 [B+1]."""
        return torch.from_numpy(self._ends).unbind()

    @cached_property
    def starts(self) -> tuple[Tensor, ...]:
        """The same without the end, int64 [B]."""
        return torch.from_numpy(self._ends[:, :-1]).unbind()

    @cached_property
    def _filled_counts(self) -> np.ndarray:
        """Rows of each graph, and of what fills up each batch, int64 [K * (B+1)]."""
        return np.concatenate([self.counts, self._filling[:, None]], axis=1).ravel()

    @cached_property
    def index(self) -> np.ndarray:
        """The rows to gather, int64."""
        first = np.zeros(self._ends.shape, np.int64)
        first[:, :-1] = self._first
        return ranges(first.ravel(), self._filled_counts)

    def spread(self, numbers: np.ndarray) -> np.ndarray:
        """A number for each place in a batch, int64 [B], at each row of the graph there."""
        row = np.append(numbers, 0)
        return np.repeat(np.broadcast_to(row, self._ends.shape).ravel(), self._filled_counts)

    def split(self, gathered: Tensor) -> tuple[Tensor, ...]:
        """The rows of each batch."""
        pieces = np.stack([self.rows, self._filling], axis=1).ravel().tolist()
        return torch.split_with_sizes(gathered, pieces)[::2]


class _Graphs:
    """The same for arrays with a row for each graph."""

    def __init__(self, positions: np.ndarray):
        count, self._size = positions.shape
        self._padded = np.zeros((count, -(-self._size // ALIGNED) * ALIGNED), np.int64)
        self._padded[:, : self._size] = positions
        self.index = self._padded.ravel()

    @cached_property
    def slices(self) -> tuple[Tensor, ...]:
        """Offsets of the graphs in each batch, int64 [B+1]."""
        return (torch.arange(self._size + 1),) * len(self._padded)

    def split(self, gathered: Tensor) -> tuple[Tensor, ...]:
        """The rows of each batch."""
        rows = gathered.view(*self._padded.shape, *gathered.shape[1:])
        return rows[:, : self._size].unbind()
