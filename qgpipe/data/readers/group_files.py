"""The files of the arrays of many groups, read by several threads and decoded together.

Plain system calls, in threads that hide the latency of a network file system: the files are so
small that any other way to read one takes longer than the reading.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
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
from qgpipe.data.raw.store_files import memory, read_file
from qgpipe.errors import shown

AT_ONCE = 64  # groups in a batch
IN_TASK = 8  # groups whose files a thread reads one after the other


@dataclass(frozen=True)
class Content:
    """What was read of an array: how it is stored, and its chunk file.

    ``form`` is None if the array is not a single chunk stored in a usual way; ``chunk`` is
    None if there is no chunk file.
    """

    form: ChunkFormat | None
    chunk: bytes | None


Group = list[Content | ValueError | None]


class GroupFiles:
    """The arrays ``names`` of the groups of a store; ``group_name``: of a sample, by its index.

    Samples with an array that is missing or damaged are reported to ``bad``.
    """

    def __init__(self, bad: BadSamples, names: Sequence[str], group_name: Callable[[int], str]):
        self.bad = bad
        self.names = names
        self._group_name = group_name
        self._store = bad.store
        self._root = str(self._store.path.absolute())
        self._metadata = ".zarray" if self._store.zarr_format == 2 else "zarr.json"

    def batches(self, samples: range) -> Iterator[tuple[range, list[Group]]]:
        """``samples`` in batches, each with the contents of its groups' arrays in the order of
        ``names``; the next batches are read meanwhile.
        """
        ahead: deque[tuple[range, list[Future[list[Group]]]]] = deque()
        with ThreadPoolExecutor(READS_IN_FLIGHT) as pool:
            for batch in _cut(samples, AT_ONCE):
                tasks = [pool.submit(self._read_groups, some) for some in _cut(batch, IN_TASK)]
                ahead.append((batch, tasks))
                if len(ahead) > 2:
                    yield _joined(*ahead.popleft())
            while ahead:
                yield _joined(*ahead.popleft())

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
            [self._read(self._folder(sample, name)) for name in self.names] for sample in samples
        ]

    def _read(self, folder: str) -> Content | ValueError | None:
        """None if there is no such array."""
        try:
            metadata = read_file(f"{folder}/{self._metadata}")
        except ValueError as error:
            return error
        if metadata is None:
            return None
        try:
            form = chunk_format(metadata, self._store.zarr_format)
        except ValueError as error:
            return ValueError(f"{folder}/{self._metadata}: {error}")
        if form is None or not form.is_single:
            return Content(None, None)
        try:
            return Content(form, read_file(f"{folder}/{form.only_key}"))
        except ValueError as error:
            return error

    def _decode(
        self, sample: int, name: str, content: Content | ValueError | None
    ) -> np.ndarray | None:
        folder = self._folder(sample, name)
        if content is None:
            self.bad.report(sample, f"cannot be read: {folder} does not exist", name, NEEDED)
            return None
        try:
            if isinstance(content, ValueError):
                raise content
            if content.form is not None:
                return _decoded(content.form, content.chunk, folder)
            return self._read_unusual(Path(folder))
        except ValueError as error:
            problem, remedy = describe(error)
            self.bad.report(sample, problem, name, remedy)
            return None

    def _read_unusual(self, folder: Path) -> np.ndarray:
        """An array of several chunks, or one that is stored in an unusual way."""
        array = array_info(folder, self._store.zarr_format)
        if array is None:
            raise ValueError(f"{folder} is no array")
        require_memory(self._store, array, array.shape)
        require_chunks(self._store, array, range(array.shape[0] if array.shape else 1))
        context = decoding_context(1)
        opened = open_array(str(folder), self._store.zarr_format, context).result()
        return opened.read().result()


def _decoded(form: ChunkFormat, chunk: bytes | None, folder: str) -> np.ndarray:
    try:
        if form.dtype.itemsize * math.prod(form.shape) > memory():
            raise ValueError(f"more than memory holds, by its shape {shown(form.shape)}")
        values = form.decode(chunk)
    except ValueError as error:
        raise ValueError(f'Error decoding chunk "{folder}/{form.only_key}": {error}') from None
    return values if form.chunks == form.shape else values[tuple(map(slice, form.shape))]


def _joined(batch: range, tasks: Sequence[Future[list[Group]]]) -> tuple[range, list[Group]]:
    return batch, [group for task in tasks for group in task.result()]


def _cut(samples: range, step: int) -> Iterator[range]:
    return (samples[first : first + step] for first in range(0, len(samples), step))
