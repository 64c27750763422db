"""Graphs in the memory of the host or of a device, from which batches are gathered.

Host and device have separate implementations, because numpy gathers rows of several batches at once
on the host. A common one with tensors takes 4 to 14 % longer there, for graphs of 64 to 256 nodes.
"""

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch

from qgpipe.data.graphs.batch import BatchRules, Parts
from qgpipe.data.graphs.packed import BitRows, NeighborLists, Packed, offsets, ranges
from qgpipe.data.graphs.row_axis import row_ptr, table
from qgpipe.data.graphs.select import follows
from qgpipe.message_passing.edge_batch import BitEdgeBatch, NeighborListBatch
from qgpipe.message_passing.edge_format import EdgeFormat
from qgpipe.system.device import sent_to

ALIGNED = 64  # rows; each batch then starts at a multiple of 64 bytes, for rows of any size


class ResidentGraphs(ABC):
    """All graphs of ``packed`` as arrays with one row per node, edge or graph.

    The edges of ``packed`` were converted to ``edge_format`` by ``graphs.edge_formats``. A subclass
    gathers the rows of batches.
    """

    def __init__(self, packed: Packed, edge_format: EdgeFormat):
        self._arrays = table(packed)
        del self._arrays["sample_index"]
        if isinstance(packed.edges, BitRows):
            del self._arrays["num_edges"]  # known from edge_ptr
        self._ptrs = {f: row_ptr(packed, f) for f in follows(self._arrays) - {"graph"}}
        self._edge_ptr = packed.edge_ptr
        self._follow = {n: self._arrays[f"attribute/{n}"].follow for n in packed.attributes}
        self._pairs = edge_format == "edges"
        self._rules = BatchRules(packed, compact=not self._pairs)

    @staticmethod
    def can_hold(packed: Packed) -> bool:
        """Whether the edges of ``packed`` are lists or rows of bits, not pairs."""
        return isinstance(packed.edges, NeighborLists | BitRows)

    @abstractmethod
    def batches(self, positions: np.ndarray, names: np.ndarray | None = None) -> list[Batch]:
        """The graphs at ``positions``, int64 [K, B], as ``K`` batches.

        ``names``: int64 [K, B], the ``sample_position`` of the batches (by default ``positions``).
        """

    def _batch(
        self,
        rows: dict[str, Tensor],
        slices: dict[str, Tensor],
        starts: Tensor,
        ptr: Tensor,
        graph: Tensor,
        sizes: np.ndarray,
        num_edges: int,
        positions: Tensor,
    ) -> Batch:
        """A batch of the gathered ``rows``; the other arguments are as in ``Parts``."""
        values = {name: rows[f"attribute/{name}"] for name in self._follow}
        edges: BitEdgeBatch | NeighborListBatch
        if "bits" in rows:
            edges = BitEdgeBatch(rows["bits"], ptr, sizes, num_edges)
        else:
            lists, degrees, counts = rows["lists"], rows["degrees"], rows["num_edges"]
            edges = NeighborListBatch(lists, degrees, ptr, counts, num_edges)
        made = (edges.edge_index(), None) if self._pairs else (None, edges)
        parts = Parts(values, slices, starts, ptr, graph, sizes, *made)
        return self._rules.assemble(parts, positions)


class DeviceGraphs(ResidentGraphs):
    """Graphs from which batches are gathered on ``device``.

    The host only computes the offsets of the graphs of a batch, and sends these few numbers.
    """

    def __init__(self, packed: Packed, edge_format: EdgeFormat, device: torch.device):
        super().__init__(packed, edge_format)
        self._device = device
        self._values = {
            name: torch.from_numpy(np.ascontiguousarray(rows.values)).to(device)
            for name, rows in self._arrays.items()
        }
        self._row_axes = {name: rows.follow for name, rows in self._arrays.items()}
        self._arrays = {}  # frees the host's memory

    def batches(self, positions: np.ndarray, names: np.ndarray | None = None) -> list[Batch]:
        """As in ``ResidentGraphs``; batches are gathered one after the other."""
        return [
            self._gather(*some)
            for some in zip(positions, positions if names is None else names, strict=True)
        ]

    def _gather(self, positions: np.ndarray, names: np.ndarray) -> Batch:
        where = {follow: _Rows(ptr, positions) for follow, ptr in self._ptrs.items()}
        nodes, edges = where["node"], where.get("edge") or _Rows(self._edge_ptr, positions)
        # All offsets in one array, so that there is one asynchronous copy.
        facts = [names, positions, *(row for rows in where.values() for row in rows.facts)]
        called, graphs, *sent = sent_to(self._device, np.stack(facts))
        index = {"graph": graphs}
        for k, (follow, rows) in enumerate(where.items()):
            index[follow] = rows.numbers(sent[2 * k], sent[2 * k + 1])
        counts = sent[2 * list(where).index("node") + 1]
        ptr = torch.zeros(len(positions) + 1, dtype=torch.int64, device=self._device)
        torch.cumsum(counts, 0, out=ptr[1:])
        graph = torch.arange(len(positions), device=self._device)
        ptrs = {follow: rows.ptr for follow, rows in where.items()}
        ptrs |= {"edge": edges.ptr, "graph": np.arange(len(positions) + 1)}
        axes = {**self._follow, "edge_index": "edge"}
        return self._batch(
            {
                name: tensor.index_select(0, index[self._row_axes[name]])
                for name, tensor in self._values.items()
            },
            {name: torch.from_numpy(ptrs[axis]) for name, axis in axes.items()},
            torch.from_numpy(nodes.ptr[:-1]),
            ptr,
            torch.repeat_interleave(graph, counts, output_size=int(nodes.ptr[-1])),
            np.diff(nodes.ptr),
            int(edges.ptr[-1]),
            called,
        )


class _Rows:
    """The rows of some graphs in arrays that follow ``ptr`` (int64 [N+1])."""

    def __init__(self, ptr: np.ndarray, positions: np.ndarray):
        starts = ptr[positions]
        counts = ptr[positions + 1] - starts
        self.ptr = offsets(counts)
        self.facts = starts - self.ptr[:-1], counts

    def numbers(self, shift: Tensor, counts: Tensor) -> Tensor:
        """Indices of the rows, given ``facts`` on the device, int64."""
        total = int(self.ptr[-1])
        shifts = torch.repeat_interleave(shift, counts, output_size=total)
        return torch.arange(total, device=shift.device) + shifts


class HostGraphs(ResidentGraphs):
    """Graphs from which batches are gathered in the memory of the host.

    A call of numpy takes as long as copying a small batch, so each call gathers several batches,
    whose tensors are views of the result.
    """

    def __init__(self, packed: Packed, edge_format: EdgeFormat):
        super().__init__(packed, edge_format)
        self._types = {n: torch.from_numpy(rows.values[:0]) for n, rows in self._arrays.items()}

    def batches(self, positions: np.ndarray, names: np.ndarray | None = None) -> list[Batch]:
        """As in ``ResidentGraphs``; all batches are gathered at once."""
        ragged = {follow: _Layout(ptr, positions) for follow, ptr in self._ptrs.items()}
        nodes, edges = ragged["node"], ragged.get("edge") or _Layout(self._edge_ptr, positions)
        layouts: dict[str, _Layout | _Graphs]
        layouts = {"edge": edges, **ragged, "graph": _Graphs(positions)}
        values = {
            name: layouts[rows.follow].split(self._gathered(name, layouts[rows.follow].index))
            for name, rows in self._arrays.items()
        }
        graph = nodes.split(torch.from_numpy(nodes.spread(np.arange(positions.shape[1]))))
        slices = {name: layouts[follow].slices for name, follow in self._follow.items()}
        slices["edge_index"] = edges.slices
        called = torch.from_numpy(positions.copy() if names is None else names).unbind()
        return [
            self._batch(
                {name: rows[k] for name, rows in values.items()},
                {name: rows[k] for name, rows in slices.items()},
                nodes.starts[k],
                nodes.slices[k],
                graph[k],
                nodes.counts[k],
                num_edges,
                called[k],
            )
            for k, num_edges in enumerate(edges.rows.tolist())
        ]

    def _gathered(self, name: str, index: np.ndarray) -> Tensor:
        values = self._arrays[name].values
        result = self._types[name].new_empty((len(index), *values.shape[1:]))
        # Indices of padding rows may be out of range: they are clipped.
        values.take(index, axis=0, out=result.numpy(), mode="clip")
        return result


class _Layout:
    """Source and target rows of the graphs of several batches.

    Each batch starts at a multiple of ``ALIGNED`` rows. The alignment of numbers can change the
    order in which they are summed, and so the last bit of a result, which must not depend on which
    batches are gathered together.

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
        """Rows of each graph and of the padding of each batch, int64 [K * (B+1)]."""
        return np.concatenate([self.counts, self._filling[:, None]], axis=1).ravel()

    @cached_property
    def index(self) -> np.ndarray:
        """The rows to gather, int64."""
        first = np.zeros(self._ends.shape, np.int64)
        first[:, :-1] = self._first
        return ranges(first.ravel(), self._filled_counts)

    def spread(self, numbers: np.ndarray) -> np.ndarray:
        """``numbers`` (int64 [B]) repeated for the rows of each graph of a batch; 0 for padding."""
        row = np.append(numbers, 0)
        return np.repeat(np.broadcast_to(row, self._ends.shape).ravel(), self._filled_counts)

    def split(self, gathered: Tensor) -> tuple[Tensor, ...]:
        """The rows of each batch."""
        pieces = np.stack([self.rows, self._filling], axis=1).ravel().tolist()
        return torch.split_with_sizes(gathered, pieces)[::2]


class _Graphs:
    """As ``_Layout``, for arrays with one row per graph."""

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
