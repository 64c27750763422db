"""The packed graphs of ``dataset.json`` as a PyG data set."""

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch_geometric.data import Batch, Data, Dataset

from qgpipe.data.graphs.batch import to_batch, to_data
from qgpipe.data.graphs.blocks import Blocks
from qgpipe.data.graphs.edge_formats import in_edge_format
from qgpipe.data.graphs.packed import Packed, offsets, ranges
from qgpipe.data.graphs.select import select
from qgpipe.data.loading.placement import choose_residency, largest_graph, open_blocks, read_blocks
from qgpipe.data.loading.resident_graphs import DeviceGraphs, HostGraphs, ResidentGraphs
from qgpipe.data.storage.manifest import read_dataset, recorded_part
from qgpipe.data.storage.part_file import verify_part
from qgpipe.errors import ConfigError, DataError
from qgpipe.message_passing.edge_format import EdgeFormat
from qgpipe.message_passing.format_choice import Density

AT_ONCE = 16  # batches gathered together at most
BYTES_AT_ONCE = 16e6


class PackedDataset(Dataset):
    """Graphs in part files, as a ``torch_geometric.data.Dataset``.

    ``dataset[i]`` is a ``Data``; ``dataset[slice or indices]`` is a view that shares the
    arrays, so open a data set once and take views of it. Positions count the graphs of all parts in
    the order of ``dataset.json``, also in a view.

    ``path``: the ``dataset.json`` or its folder; ``indices``: positions to use, in that
    order (all); ``transform``: applied to each ``Data`` as it is loaded;
    ``residency``: where the graphs are held. ``mmap``: part files are memory-mapped and decoded
    batch by batch; ``memory``: all graphs are read and decoded before the first batch; ``device``:
    they are also copied to ``device``, where batches are gathered; ``auto``: chosen by their size,
    see :func:`qgpipe.data.loading.placement.choose_residency`.

    Raises ``DataError`` if a part is missing, damaged, or not the one that was recorded.
    """

    def __init__(
        self,
        path: str | Path,
        indices: Sequence[int] | np.ndarray | torch.Tensor | None = None,
        transform: Callable[[Data], Data] | None = None,
        residency: str = "auto",
        device: torch.device | str = "cpu",
    ):
        super().__init__(transform=transform)
        self.path = Path(path) / "dataset.json" if Path(path).is_dir() else Path(path)
        self.description = read_dataset(self.path)
        recorded = [part for part in self.description["parts"] if part["num_graphs"]]
        files = [self.path.parent / part["file"] for part in recorded]
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            infos = list(pool.map(self._check_part, recorded))
        self._files, self._infos = files, infos
        self.device = torch.device(device)
        self.residency = choose_residency(residency, infos, self.device)
        self._stored = self._open()
        self._held: dict[EdgeFormat, Blocks | ResidentGraphs] = {}
        if indices is not None:
            self._indices = np.arange(self.len())[np.asarray(indices, np.int64)]

    def __copy__(self) -> Self:
        """Shares the arrays, which ``__getstate__`` leaves out for another process."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_stored", "_held")
        return {key: value for key, value in self.__dict__.items() if key not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the parts again in another process instead of pickling the arrays."""
        self.__dict__.update(state)
        self._stored = self._open()
        self._held = {}

    def _open(self) -> Blocks:
        """All graphs as they are stored: mapped, unless they are compressed."""
        compressed = any(info["compressed"] for info in self._infos)
        return open_blocks(self._files, mapped=self.residency == "mmap" or not compressed)

    def _check_part(self, recorded: dict[str, Any]) -> dict[str, Any]:
        """The description of a part, after checking that it is undamaged and the recorded one."""
        info = recorded_part(self.path.parent, recorded)
        verify_part(self.path.parent / recorded["file"])
        return info

    def len(self) -> int:
        """Number of graphs in all parts."""
        return len(self._stored)

    def get(self, idx: int) -> Data:
        """The graph at position ``idx``, not transformed."""
        return to_data(self._stored.gather(np.array([idx], np.int64)))

    def packed(self, positions: np.ndarray) -> Packed:
        """The graphs at ``positions`` (int64 [M]), in that order, as they are stored."""
        return self._stored.gather(positions)

    def batch(self, positions: np.ndarray, edge_format: EdgeFormat = "edges") -> Batch:
        """The graphs at ``positions`` (int64 [B]) as one batch, not transformed.

        ``edge_format``: of its edges, see :func:`qgpipe.data.graphs.batch.to_batch`.
        """
        return self.batches(positions[None], edge_format)[0]

    def batches(self, positions: np.ndarray, edge_format: EdgeFormat = "edges") -> list[Batch]:
        """As ``batch``, for each row of ``positions``, int64 [K, B]."""
        self.prepare(edge_format)
        held = self._held.get(edge_format, self._stored)
        if not isinstance(held, Blocks):
            return held.batches(positions)
        if edge_format == "edges":
            return [to_batch(held.gather(row), row, edge_format) for row in positions]
        gathered = in_edge_format(held.gather(positions.ravel()), edge_format)
        places = np.arange(positions.size).reshape(positions.shape)
        if ResidentGraphs.can_hold(gathered):
            return HostGraphs(gathered, edge_format).batches(places, positions)
        return [
            to_batch(select(gathered, place), row, edge_format)
            for place, row in zip(places, positions, strict=True)
        ]

    def batches_without_edges(self, batch_size: int) -> Iterator[Batch]:
        """The graphs of this view in order, not transformed, with no edges read or converted."""
        graphs = self._stored.without_edges()
        for start in range(0, len(self), batch_size):
            positions = self.positions[start : start + batch_size]
            yield to_batch(graphs.gather(positions), positions)

    def worth_at_once(self, batch_size: int, edge_format: EdgeFormat) -> int:
        """The number of batches to gather together: more is faster, but takes more memory."""
        if edge_format == "edges" or self.residency == "device":
            return 1
        stored = batch_size * sum(self._columns("bytes")) / len(self._stored)
        return min(AT_ONCE, max(1, int(BYTES_AT_ONCE / stored)))

    def prepare(self, edge_format: EdgeFormat) -> None:
        """Read all graphs for batches of ``edge_format``, unless they are mapped.

        Raises ``ConfigError`` if the device cannot hold them.
        """
        if self.residency == "mmap" or edge_format in self._held:
            return
        blocks = read_blocks(self._files, edge_format, largest_graph(self._infos))
        self._held[edge_format] = self._hold(blocks, edge_format)

    def _hold(self, blocks: Blocks, edge_format: EdgeFormat) -> Blocks | ResidentGraphs:
        """The single block of ``blocks``, in the structure from which batches are gathered."""
        graphs = blocks.blocks[0]
        if not ResidentGraphs.can_hold(graphs):
            return blocks
        if self.residency == "device":
            try:
                return DeviceGraphs(graphs, edge_format, self.device)
            except torch.OutOfMemoryError:
                needed = sum(info["bytes"] for info in self._infos) / 1e9
                raise ConfigError(
                    f"{self.device} has not enough memory for graphs of {needed:.1f} GB and more",
                    key="data.residency",
                    remedy="set it to memory",
                ) from None
        return blocks if edge_format == "edges" else HostGraphs(graphs, edge_format)

    def index_select(self, idx: Any) -> Self:
        """A view of the graphs at ``idx``: a slice, or integers or booleans of any kind.

        Raises ``IndexError`` if one is out of range.
        """
        if isinstance(idx, slice):
            start, stop = (
                round(bound * len(self)) if isinstance(bound, float) else bound
                for bound in (idx.start, idx.stop)
            )
            chosen: Any = slice(start, stop, idx.step)
        else:
            chosen = np.asarray(idx).reshape(-1)
            chosen = chosen if chosen.dtype == bool else chosen.astype(np.int64)
        view = copy.copy(self)
        view._indices = self.positions[chosen]
        return view

    @property
    def positions(self) -> np.ndarray:
        """Position of each graph of this view in the whole data set, int64 [len]."""
        return np.arange(self.len()) if self._indices is None else self._indices

    @property
    def node_features(self) -> list[str] | None:
        """Names of the columns of ``x``, if known."""
        return self.description["node_features"]

    @property
    def graph_features(self) -> list[str] | None:
        """Names of the columns of ``graph_features``, if known."""
        return self.description["graph_features"]

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes, in the order of their numbers, if known."""
        return self.description["class_names"]

    @property
    def target_name(self) -> str | list[str] | None:
        """Name of the array, or arrays, of ``y``, if known."""
        return self.description["target"]

    @property
    def attributes(self) -> dict[str, Any]:
        """``kind``, ``dtype`` and ``shape`` (of a row) of each array of the graphs, by name."""
        return self.description["attributes"]

    @property
    def num_node_features(self) -> int:
        """Number of columns of ``x``; 0 if there is none."""
        x = self._infos[0]["attributes"].get("x")
        return 0 if x is None else (x["shape"] or [1])[-1]

    @property
    def num_classes(self) -> int:
        """As in PyG: the largest class plus one; for several targets, their number."""
        return self._infer_num_classes(torch.from_numpy(self.all_targets))

    def targets(self) -> np.ndarray:
        """``y`` of the graphs of this view, [len] or [len, targets]; of their elements likewise.

        Raises ``DataError`` if the graphs have no ``y``, or it has rows of neither.
        """
        if self.attributes.get("y", {}).get("kind") != "node":
            return self.all_targets[self.positions]
        starts = offsets(self.sizes())[self.positions]
        return self.all_targets[ranges(starts, self.sizes()[self.positions])]

    @property
    def density(self) -> Density:
        """The density of the adjacency matrices of the whole data set."""
        sizes = [(np.array(s["values"]), np.array(s["counts"])) for s in self._columns("sizes")]
        return Density(
            graphs=len(self._stored),
            edges=sum(self._columns("num_edges")),
            pairs=sum(int(counts @ values**2) for values, counts in sizes),
            largest=largest_graph(self._infos),
        )

    def _columns(self, name: str) -> list[Any]:
        return [info[name] for info in self._infos]

    def sizes(self) -> np.ndarray:
        """Number of nodes of each graph of the whole data set, int64 [N]."""
        return np.concatenate([block.sizes for block in self._stored.blocks])

    def sample_ids(self, positions: Sequence[int] | np.ndarray | torch.Tensor) -> list[str]:
        """``store/index`` of the samples at ``positions`` of the whole data set."""
        positions = np.asarray(positions, np.int64)
        first = offsets(np.array([info["num_graphs"] for info in self._infos]))
        parts = np.searchsorted(first, positions, side="right") - 1
        samples = self._all_samples[positions]
        return [
            f"{self._infos[part]['store']}/{sample}"
            for part, sample in zip(parts, samples, strict=True)
        ]

    @cached_property
    def _all_samples(self) -> np.ndarray:
        return np.concatenate([block.sample_index for block in self._stored.blocks])

    @cached_property
    def all_targets(self) -> np.ndarray:
        """``y`` of the whole data set, [N] or [N, targets]; of elements likewise.

        Raises ``DataError`` as ``targets``.
        """
        targets = [block.attributes.get("y") for block in self._stored.blocks]
        kinds = {None if y is None else y.kind for y in targets}
        if kinds not in ({"graph"}, {"node"}):
            raise DataError(
                f"{self.path}: the graphs have no target 'y' of one row each, or for each element",
                remedy="set data.y in the reader, or name a 'target'",
            )
        return np.concatenate([y.values for y in targets if y is not None])
