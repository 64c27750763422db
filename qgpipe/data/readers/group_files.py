"""The files of the arrays of many groups, read by several threads and decoded together.

The arrays are so small that opening one takes longer than reading it: TensorStore needs 1.7
times as long for a store of 3,000 groups, and three times the processor time. So files are read
with plain system calls, in threads that hide the latency of a network file system.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from qgpipe.data.raw.arrays import (
    NEEDED,
    READS_IN_FLIGHT,
    decoding_context,
    describe,
    open_array,
    require_chunks,
    require_memory,
)
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.raw.chunk_files import ChunkFormat, chunk_format
from qgpipe.data.raw.metadata import array_info
from qgpipe.data.raw.store_files import file_reader, memory, read_file
from qgpipe.errors import shown
from qgpipe.system.read_ahead import ahead

AT_ONCE = 64  # groups in a batch
AHEAD = 2  # batches whose files are read while one is decoded
IN_TASK = 8  # groups whose files a thread reads one after the other
OBJECTS_IN_FLIGHT = 32  # reads at once from a server, which takes longer to answer than a disk

# How to decode an array that was read, or the error of reading it; None if there is no array.
Loaded = Callable[[], np.ndarray] | ValueError | None
Group = list[Loaded]  # in the order of ``GroupFiles.names``


class GroupFiles:
    """The arrays ``names`` of the groups of a store; ``group_name``: maps a sample to its group.

    Samples with an array that is missing or damaged are reported to ``bad``.
    """

    def __init__(self, bad: BadSamples, names: Sequence[str], group_name: Callable[[int], str]):
        self.bad = bad
        self.names = names
        self._group_name = group_name
        self._store = bad.store
        self._root = str(self._store.path.absolute())
        self._path = type(self._store.path)
        self._read = file_reader(self._store.path)
        are_files = self._read is read_file
        self._in_flight = READS_IN_FLIGHT if are_files else OBJECTS_IN_FLIGHT
        self._in_task = IN_TASK if are_files else 1
        self._metadata = ".zarray" if self._store.zarr_format == 2 else "zarr.json"

    def batches(self, samples: range) -> Iterator[tuple[range, list[Group]]]:
        """``samples`` in batches, with their groups; the files of the next ones are being read."""
        with ThreadPoolExecutor(self._in_flight) as pool:
            started = (
                (
                    batch,
                    [pool.submit(self._read_groups, some) for some in _cut(batch, self._in_task)],
                )
                for batch in _cut(samples, AT_ONCE)
            )
            for batch, tasks in ahead(started, AHEAD):
                yield batch, [group for task in tasks for group in task.result()]

    def decode(self, samples: range, groups: Sequence[Group]) -> dict[str, list[np.ndarray | None]]:
        """The arrays by name, None for each that is missing or damaged, which is reported."""
        return {
            name: [
                self._decode(sample, name, group[number])
                for sample, group in zip(samples, groups, strict=True)
            ]
            for number, name in enumerate(self.names)
        }

    def _folder(self, sample: int, name: str) -> str:
        return f"{self._root}/{self._group_name(sample)}/{name}"

    def _read_groups(self, samples: Iterable[int]) -> list[Group]:
        return [
            [self._load(self._folder(sample, name)) for name in self.names] for sample in samples
        ]

    def _load(self, folder: str) -> Loaded:
        file = f"{folder}/{self._metadata}"
        try:
            metadata = self._read(file)
            if metadata is None:
                return None
            try:
                form = chunk_format(metadata, self._store.zarr_format)
            except ValueError as error:
                raise ValueError(f"{file}: {error}") from None
            if form is None or not form.is_single:
                return partial(self._read_unusual, self._path(folder))
            return partial(_decoded, form, self._read(f"{folder}/{form.only_key}"), folder)
        except ValueError as error:
            return error

    def _decode(self, sample: int, name: str, loaded: Loaded) -> np.ndarray | None:
        if loaded is None:
            problem = f"cannot be read: {self._folder(sample, name)} does not exist"
            self.bad.report(sample, problem, name, NEEDED)
            return None
        try:
            if isinstance(loaded, ValueError):
                raise loaded
            return loaded()
        except ValueError as error:
            problem, remedy = describe(self._store, error)
            self.bad.report(sample, problem, name, remedy)
            return None

    def _read_unusual(self, folder: Path) -> np.ndarray:
        """An array of several chunks, or one that is stored in an unusual way."""
        array = array_info(folder, self._store.zarr_format)
        if array is None:
            raise ValueError(f"{folder} is no array")
        require_memory(self._store, array, array.shape)
        require_chunks(self._store, array, range(array.shape[0] if array.shape else 1))
        context = decoding_context(self._store, 1)
        opened = open_array(folder, self._store.zarr_format, context).result()
        return opened.read().result()


def _decoded(form: ChunkFormat, chunk: bytes | None, folder: str) -> np.ndarray:
    try:
        if form.dtype.itemsize * math.prod(form.shape) > memory():
            raise ValueError(f"more than memory holds, by its shape {shown(form.shape)}")
        values = form.decode(chunk)
    except ValueError as error:
        raise ValueError(f'Error decoding chunk "{folder}/{form.only_key}": {error}') from None
    return values if form.chunks == form.shape else values[tuple(map(slice, form.shape))]


def _cut(samples: range, step: int) -> Iterator[range]:
    return (samples[first : first + step] for first in range(0, len(samples), step))
