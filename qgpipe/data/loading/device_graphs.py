"""All graphs of a data set in the memory of the device that trains on them."""

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch

from qgpipe.data.graphs.batch import Parts
from qgpipe.data.graphs.packed import Packed, offsets
from qgpipe.data.loading.resident_graphs import ResidentGraphs
from qgpipe.message_passing.device_copy import sent_to
from qgpipe.message_passing.edge_format import EdgeFormat


class DeviceGraphs(ResidentGraphs):
    """Graphs from which batches are gathered on ``device``.

    The host works out only where the graphs of a batch lie, and sends that as a few numbers.
    """

    def __init__(self, packed: Packed, edge_format: EdgeFormat, device: torch.device):
        super().__init__(packed, compact=edge_format != "edges")
        self.edge_format = edge_format
        self._device = device
        self._num_edges = packed.num_edges
        self._values = {
            name: torch.from_numpy(np.ascontiguousarray(rows.values)).to(device)
            for name, rows in self._arrays.items()
        }
        self._row_axes = {name: rows.follow for name, rows in self._arrays.items()}
        self._arrays = {}  # the host need not hold them, too

    def batches(self, positions: np.ndarray) -> list[Batch]:
        """The graphs at ``positions``, int64 [K, B], as ``K`` batches on the device."""
        return [self._batch(row) for row in positions]

    def _batch(self, positions: np.ndarray) -> Batch:
        where = {follow: _Rows(ptr, positions) for follow, ptr in self._ptrs.items()}
        # Another row is where each graph lies; all in one copy, for which nothing has to wait.
        facts = np.stack([positions, *(row for rows in where.values() for row in rows.facts)])
        sent = sent_to(self._device, facts)
        index = {"graph": sent[0]}
        for k, (follow, rows) in enumerate(where.items()):
            index[follow] = rows.numbers(sent[2 * k + 1], sent[2 * k + 2])
        values = {
            name: tensor.index_select(0, index[self._row_axes[name]])
            for name, tensor in self._values.items()
        }
        nodes = where["node"]
        sizes = np.diff(nodes.ptr)
        graph = torch.arange(len(positions), device=self._device)
        counts = sent[2 * list(where).index("node") + 2]
        ptr = torch.zeros(len(positions) + 1, dtype=torch.int64, device=self._device)
        torch.cumsum(counts, 0, out=ptr[1:])
        edges = self._edge_batch(values, ptr, sizes, int(self._num_edges[positions].sum()))
        graphs = np.arange(len(positions) + 1)
        slices = {
            name: torch.from_numpy(graphs if follow == "graph" else where[follow].ptr)
            for name, follow in [*self._follow.items(), ("edge_index", "edge")]
        }
        parts = Parts(
            {name: values[f"attribute/{name}"] for name in self._follow},
            slices,
            torch.from_numpy(nodes.ptr[:-1]),
            ptr,
            torch.repeat_interleave(graph, counts, output_size=int(nodes.ptr[-1])),
            sizes,
            edges.edge_index() if self.edge_format == "edges" else None,
            None if self.edge_format == "edges" else edges,
        )
        return self._rules.assemble(parts, sent[0])


class _Rows:
    """The rows of some graphs in arrays that follow ``ptr`` (int64 [N+1])."""

    def __init__(self, ptr: np.ndarray, positions: np.ndarray):
        starts = ptr[positions]
        counts = ptr[positions + 1] - starts
        self.ptr = offsets(counts)
        self.facts = starts - self.ptr[:-1], counts

    def numbers(self, shift: Tensor, counts: Tensor) -> Tensor:
        """Their numbers, given ``facts`` on the device."""
        total = int(self.ptr[-1])
        shifts = torch.repeat_interleave(shift, counts, output_size=total)
        return torch.arange(total, device=shift.device) + shifts
