"""Applies a user's functions (reader, filter, transform) to one sample at a time."""

import logging
import math
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
from torch_geometric.data import Data

from qgpipe.config.objects import import_object
from qgpipe.config.spec import build_object
from qgpipe.config.types import DataSection
from qgpipe.data.graphs.adjacency import bit_offsets, pair_bytes, pairs_to_bits, sorted_and_unique
from qgpipe.data.graphs.batch import to_data
from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.graphs.packed import EdgePairs, Packed
from qgpipe.data.graphs.select import concatenate, select
from qgpipe.data.quantumgrav.sample_store import SampleStore
from qgpipe.data.raw.arrays import aligned
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.raw.objects import ObjectPath
from qgpipe.data.raw.reading_errors import is_of_the_data
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.data.readers.graph_checks import check_finite, check_order
from qgpipe.data.readers.sample_seeds import seed_all
from qgpipe.errors import DataError, QgpipeError, ReadingError
from qgpipe.system.rng import random_numbers_kept
from qgpipe.system.user_code import line_of_user

log = logging.getLogger(__name__)

RANGE = 32  # samples per task of a process, or a chunk if that is more


class Result(NamedTuple):
    """The graphs of a few samples, the number filtered out, and reasons by index of bad samples."""

    packed: Packed
    num_filtered: int
    bad: dict[int, str]


@dataclass(frozen=True)
class SampleReader:
    """The functions applied to each sample: ``fetch(index)``, then filter, then transform.

    ``pre_filter`` takes the result of ``fetch`` and returns whether it is kept; ``pre_transform``
    turns it into a ``Data``. Either may be None. ``bad``: receives samples for which a function
    fails, or whose graph cannot be packed or (``validate``, ``validate_order``) is invalid; samples
    that it lists already are left out.
    """

    store: StoreInfo
    fetch: Callable[[int], Any]
    pre_filter: Callable[[Any], bool] | None
    pre_transform: Callable[[Any], Data] | None
    validate: bool
    validate_order: bool
    bad: BadSamples

    def read(self, start: int, stop: int, processes: int) -> tuple[Packed, int]:
        """The samples ``start:stop`` as packed graphs, and the number that was filtered out.

        The result does not depend on ``processes``, even if functions draw random numbers.
        Processes are forked, so functions need no importable name and modules are not imported
        again.

        Raises ``DataError`` naming store, sample and function for the first bad sample, unless
        ``bad`` leaves them out, and if the graphs differ in their attributes.
        """
        ranges = list(_ranges(self.store, start, stop))
        if processes > 1 and sys.platform != "linux":
            log.info("reading in one process: forking is only safe on Linux")
        is_remote = isinstance(self.store.path, ObjectPath)  # TensorStore does not survive a fork
        parallel = processes > 1 and sys.platform == "linux" and len(ranges) > 1 and not is_remote
        results = _fork(self, ranges, processes) if parallel else list(map(self.pack, ranges))
        for result in results:
            self.bad.reasons.update(result.bad)
        num_filtered = sum(result.num_filtered for result in results)
        packs = [result.packed for result in results if result.packed.num_graphs]
        return (_smaller(concatenate(packs)) if packs else pack([])), num_filtered

    def pack(self, samples: range) -> Result:
        """The packed graphs of a few samples."""
        bad = self.bad.copy()
        kept: list[int] = []
        graphs: list[Data] = []
        num_filtered = 0
        store = zlib.crc32(self.store.path.name.encode())
        with random_numbers_kept(devices=False):
            for index in samples:
                if index in bad.reasons:
                    continue
                seed_all(store, index)
                try:
                    graph = self._graph(index)
                except DataError as error:
                    bad.refuse(index, error)
                    continue
                if graph is None:
                    num_filtered += 1
                else:
                    kept.append(index)
                    graphs.append(graph)
        packed = self._packed(graphs, kept, bad)
        if self.validate:
            check_finite(packed, bad)
        if self.validate_order:
            check_order(packed, bad)
        good = bad.keep(packed.sample_index)
        if not good.all():
            packed = select(packed, np.flatnonzero(good))
        return Result(packed, num_filtered, bad.reasons)

    def _graph(self, index: int) -> Data | None:
        """The result of the functions for a sample; None if it is filtered out."""
        value = self._call("data.reader", self.fetch, index, index)
        if self.pre_filter and not self._call("data.pre_filter", self.pre_filter, index, value):
            return None
        if self.pre_transform:
            value = self._call("data.pre_transform", self.pre_transform, index, value)
        if not isinstance(value, Data):
            raise self.store.error(
                f"expected a torch_geometric Data, got {type(value).__name__}",
                sample=index,
                remedy="let the reader return one, or turn it into one in data.pre_transform",
            )
        return value

    def _packed(self, graphs: list[Data], samples: list[int], bad: BadSamples) -> Packed:
        """The packed graphs without those that cannot be packed."""
        store = str(self.store.path)
        try:
            return pack(graphs, samples, store)
        except DataError:
            if not bad.skip:
                raise
        for graph, index in zip(graphs, samples, strict=True):
            try:
                pack([graph], [index], store)
            except DataError as error:
                bad.refuse(index, error)
        good = [place for place, index in enumerate(samples) if index not in bad.reasons]
        return pack([graphs[k] for k in good], [samples[k] for k in good], store)

    def _call(self, key: str, function: Callable[[Any], Any], index: int, argument: Any) -> Any:
        try:
            return function(argument)
        except QgpipeError:
            raise
        except Exception as error:
            kind = DataError if is_of_the_data(error) else ReadingError
            raise kind(
                f"{key} failed: {type(error).__name__}: {error}{line_of_user(error)}",
                store=str(self.store.path),
                sample=self.store.sample_name(index),
                remedy="the log has the traceback",
            ) from error


def with_reader(reader: Callable[..., Any], source: DataSection, bad: BadSamples) -> SampleReader:
    """Read with the user's ``reader(store, idx, float_dtype, int_dtype, validate)``.

    ``source``: the data section, with filter, transform, types and checks.
    """
    view = SampleStore(bad.store)
    arguments = (
        import_object(source["float_type"], "data.float_type"),
        import_object(source["int_type"], "data.int_type"),
        source["validate_data"],
    )

    def fetch(index: int) -> Any:
        with view.kept_open():
            return reader(view, index, *arguments)

    return _reader(fetch, source, bad)


def with_packed(packed: Packed, source: DataSection, bad: BadSamples) -> SampleReader:
    """Apply the user's filter and transform to graphs that are already packed."""

    def fetch(index: int) -> Data:
        return to_data(select(packed, np.searchsorted(packed.sample_index, [index])))

    return _reader(fetch, source, bad)


def _reader(fetch: Callable[[int], Any], source: DataSection, bad: BadSamples) -> SampleReader:
    return SampleReader(
        bad.store,
        fetch,
        _function(source, "pre_filter"),
        _function(source, "pre_transform"),
        source["validate_data"],
        source["validate_order"],
        bad,
    )


def _function(source: Mapping[str, Any], name: str) -> Any:
    """The ``pre_filter`` or ``pre_transform`` of a data section, if it has one."""
    return None if source.get(name) is None else build_object(source[name], f"data.{name}")


def _ranges(store: StoreInfo, start: int, stop: int) -> Iterable[range]:
    """``start:stop`` in ranges that end where chunks of the largest array end.

    Chunks of very many samples are also cut; each process then decodes them once.
    """
    step = RANGE
    arrays = [array for array in store.sample_arrays.values() if array.shape]
    if arrays:
        chunk = max(arrays, key=lambda array: math.prod(array.shape)).chunks[0]
        if chunk <= 8 * RANGE:
            step = -(-RANGE // chunk) * chunk
    return (range(first, last) for first, last in aligned(start, stop, step))


def _smaller(packed: Packed) -> Packed:
    """The same graphs with edges as bits, if that is smaller than pairs."""
    edges, sizes = packed.edges, packed.sizes
    if not isinstance(edges, EdgePairs) or not sorted_and_unique(edges):
        return packed
    if bit_offsets(sizes)[-1] > pair_bytes(edges.edge_index.shape[1], sizes):
        return packed
    return replace(packed, edges=pairs_to_bits(edges, sizes))


_forked: SampleReader | None = None


def _fork(reader: SampleReader, ranges: list[range], processes: int) -> list[Result]:
    workers = min(processes, len(ranges))
    pool = ProcessPoolExecutor(workers, get_context("fork"), _adopt, (reader,))
    try:
        return [future.result() for future in [pool.submit(_pack, some) for some in ranges]]
    except BrokenProcessPool as error:
        raise reader.store.error(
            "a process ended while it was reading",
            remedy="it may have run out of memory: lower data.n_processes",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _adopt(reader: SampleReader) -> None:
    """Keep the reader in a global variable of a forked process."""
    import torch

    global _forked
    _forked = reader
    torch.set_num_threads(1)


def _pack(samples: range) -> Result:
    if _forked is None:
        raise RuntimeError("this process was not forked by a reader")
    return _forked.pack(samples)
