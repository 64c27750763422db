"""Graphs that pass through a user's functions one by one: reader, filter, transform."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
from torch_geometric.data import Data

from qgpipe.config.objects import import_object
from qgpipe.config.spec import build_object
from qgpipe.data.adjacency import bit_offsets, pair_bytes, pairs_to_bits, sorted_and_unique
from qgpipe.data.batch import to_data
from qgpipe.data.gathering import concatenate, select
from qgpipe.data.packed import EdgePairs, Packed
from qgpipe.data.packing import pack
from qgpipe.data.sample_store import SampleStore
from qgpipe.data.stores import StoreInfo
from qgpipe.data.validation import check_node_features
from qgpipe.errors import DataError, QgpipeError
from qgpipe.user_code import line_of_user

log = logging.getLogger(__name__)

RANGE = 32  # samples handled by a process at once, or a chunk if that is more


@dataclass(frozen=True)
class SampleReader:
    """What is done to each sample: ``fetch(index)``, then filter, then transform.

    ``pre_filter`` sees what ``fetch`` returns and says whether it is kept; ``pre_transform``
    makes a ``Data`` of it. Either may be None.
    """

    store: StoreInfo
    fetch: Callable[[int], Any]
    pre_filter: Callable[[Any], bool] | None
    pre_transform: Callable[[Any], Data] | None
    validate: bool

    def read(self, start: int, stop: int, processes: int) -> tuple[Packed, int]:
        """The samples ``start:stop`` as packed graphs, and how many were filtered out.

        The result does not depend on ``processes``, which are forked: so functions that
        have no importable name are fine, and modules need not be imported again.

        Raises ``DataError`` naming store, sample and function if one of the functions fails,
        or if what comes out cannot be packed.
        """
        ranges = list(_ranges(self.store, start, stop))
        if processes > 1 and sys.platform != "linux":
            log.info("reading in one process: forking is only safe on Linux")
        parallel = processes > 1 and sys.platform == "linux" and len(ranges) > 1
        results = _fork(self, ranges, processes) if parallel else list(map(self.pack, ranges))
        num_filtered = sum(filtered for _, filtered in results)
        packs = [packed for packed, _ in results if packed.num_graphs]
        return (_smaller(concatenate(packs)) if packs else pack([])), num_filtered

    def pack(self, samples: range) -> tuple[Packed, int]:
        """The packed graphs of a few samples, and how many were filtered out."""
        kept, graphs = [], []
        for index in samples:
            value = self._call("data.reader", self.fetch, index, index)
            if self.pre_filter and not self._call("data.pre_filter", self.pre_filter, index, value):
                continue
            if self.pre_transform:
                value = self._call("data.pre_transform", self.pre_transform, index, value)
            if not isinstance(value, Data):
                raise DataError(
                    f"expected a torch_geometric Data, got {type(value).__name__}",
                    store=str(self.store.path),
                    sample=self.store.sample_name(index),
                    remedy="let the reader return one, or turn it into one in data.pre_transform",
                )
            kept.append(index)
            graphs.append(value)
        packed = pack(graphs, kept, str(self.store.path))
        if self.validate:
            check_node_features(self.store, packed)
        return packed, len(samples) - len(kept)

    def _call(self, key: str, function: Callable[[Any], Any], index: int, argument: Any) -> Any:
        try:
            return function(argument)
        except QgpipeError:
            raise
        except Exception as error:
            raise DataError(
                f"{key} failed: {type(error).__name__}: {error}{line_of_user(error)}",
                store=str(self.store.path),
                sample=self.store.sample_name(index),
                remedy="the log has the traceback",
            ) from error


def with_reader(
    reader: Callable[..., Any], store: StoreInfo, source: Mapping[str, Any]
) -> SampleReader:
    """Read with the user's ``reader(store, idx, float_dtype, int_dtype, validate)``.

    ``source``: the data section, of which filter, transform, types and ``validate_data`` count.
    """
    view = SampleStore(store)
    arguments = (
        import_object(source["float_type"], "data.float_type"),
        import_object(source["int_type"], "data.int_type"),
        source["validate_data"],
    )
    return SampleReader(
        store,
        lambda index: reader(view, index, *arguments),
        _function(source, "pre_filter"),
        _function(source, "pre_transform"),
        source["validate_data"],
    )


def with_packed(packed: Packed, store: StoreInfo, source: Mapping[str, Any]) -> SampleReader:
    """Send graphs that are already packed through the user's filter and transform."""
    first = int(packed.sample_index[0]) if packed.num_graphs else 0
    return SampleReader(
        store,
        lambda index: to_data(select(packed, np.array([index - first]))),
        _function(source, "pre_filter"),
        _function(source, "pre_transform"),
        source["validate_data"],
    )


def _function(source: Mapping[str, Any], name: str) -> Any:
    """The ``pre_filter`` or ``pre_transform`` of a data section, if it has one."""
    return None if source.get(name) is None else build_object(source[name], f"data.{name}")


def _ranges(store: StoreInfo, start: int, stop: int) -> Iterable[range]:
    """``start:stop`` cut where the chunks of the largest array end."""
    step = RANGE
    if store.layout == "stacked":
        arrays = [array for array in store.arrays.values() if array.shape]
        chunk = max(arrays, key=lambda array: math.prod(array.shape)).chunks[0]
        step = -(-RANGE // chunk) * chunk
    first = start
    while first < stop:
        last = min(stop, (first // step + 1) * step)
        yield range(first, last)
        first = last


def _smaller(packed: Packed) -> Packed:
    """The same graphs with bits for edges where ranges packed as pairs made the whole larger."""
    edges, sizes = packed.edges, packed.sizes
    if not isinstance(edges, EdgePairs) or not sorted_and_unique(edges):
        return packed
    if bit_offsets(sizes)[-1] > pair_bytes(edges.edge_index.shape[1], sizes):
        return packed
    return replace(packed, edges=pairs_to_bits(edges, sizes))


_forked: SampleReader | None = None


def _fork(reader: SampleReader, ranges: list[range], processes: int) -> list[tuple[Packed, int]]:
    workers = min(processes, len(ranges))
    pool = ProcessPoolExecutor(workers, get_context("fork"), _adopt, (reader,))
    try:
        return [future.result() for future in [pool.submit(_pack, some) for some in ranges]]
    except BrokenProcessPool as error:
        raise DataError(
            "a process ended while it was reading",
            store=str(reader.store.path),
            remedy="it may have run out of memory: lower data.n_processes",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _adopt(reader: SampleReader) -> None:
    """Remember, in a forked process, what it inherited."""
    import torch

    global _forked
    _forked = reader
    torch.set_num_threads(1)


def _pack(samples: range) -> tuple[Packed, int]:
    if _forked is None:
        raise RuntimeError("this process was not forked by a reader")
    return _forked.pack(samples)
