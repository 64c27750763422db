"""The content of a raw zarr store according to its metadata; no chunk is read.

The layout of a store says where its samples are. A layout is a class that extends ``StoreInfo``;
``qgpipe/data/layouts/`` holds them, and the function that opens stores.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from qgpipe.data.raw import naming
from qgpipe.data.raw.metadata import ArrayInfo, arrays_in, read_attributes
from qgpipe.data.raw.store_files import children
from qgpipe.errors import DataError

if TYPE_CHECKING:  # they import numpy
    from qgpipe.data.raw.columns import Columns
    from qgpipe.data.raw.samples import Samples
    from qgpipe.data.raw.validation import Checks


@dataclass(frozen=True)
class Root:
    """The root group of a store whose layout is to be found.

    ``node``: its metadata, in zarr format 3. ``entries``: the names in it, and whether each is a
    folder. ``listed``: the keys of its objects; None for a folder. ``named_in``: where the store is
    named (a configuration key), for messages.
    """

    path: Path
    zarr_format: int
    node: Mapping[str, Any]
    entries: Mapping[str, bool]
    listed: Sequence[str] | None
    named_in: str

    def children(self, folder: Path) -> Mapping[str, bool]:
        """The names in a ``folder`` of the store, and whether each is a folder."""
        return children(folder, self.path, self.listed)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the group."""
        return read_attributes(self.path, self.zarr_format, self.node)

    def error(self, problem: str, remedy: str) -> DataError:
        """An error that names the store."""
        return DataError(problem, store=str(self.path), remedy=remedy)

    def arrays(self, but: Collection[str] = ()) -> tuple[dict[str, ArrayInfo], ArrayInfo | None]:
        """The arrays by name, and the array with the number of samples, if there is one.

        ``but``: names to leave out.
        """
        names = [name for name, is_folder in self.entries.items() if is_folder and name not in but]
        arrays = arrays_in(self.path, self.zarr_format, names, self.children)
        counts = [arrays.pop(name) for name in naming.COUNT if name in arrays]
        return arrays, next(iter(counts), None)


@dataclass(frozen=True)
class StoreInfo(ABC):
    """Metadata of a store. A layout is a subclass that says where its samples are.

    ``layout``: its name in files and messages. ``adjacency_axes``: names of the axes of the
    adjacency; axes with the same name have the same length. ``edges``: whether lists of edges are
    read, and whether each sample has its ``own``, or those of all are ``joined``.

    ``arrays``: by name; if each sample has its own arrays, those of the first. ``num_samples``: how
    many samples fit into the arrays. ``count``: the array with the number of samples written so
    far, if the store has one. Its value is in a chunk, not in the metadata, so it is only used when
    samples are read.
    """

    layout: ClassVar[str]
    adjacency_axes: ClassVar[tuple[str, ...]]
    edges: ClassVar[Literal["own", "joined"] | None] = None

    path: Path
    zarr_format: int
    arrays: Mapping[str, ArrayInfo]
    attributes: Mapping[str, Any]
    num_samples: int
    count: ArrayInfo | None

    @classmethod
    @abstractmethod
    def open(cls, root: Root) -> Self | None:
        """The store at ``root``, None if it is of another layout.

        Must not import numpy: stores are opened while the workflow is planned. Raises ``DataError``
        if the store is damaged, or holds no samples.
        """

    @abstractmethod
    def read(self, checks: Checks, start: int, stop: int, threads: int) -> Samples:
        """The samples ``start:stop``.

        ``checks``: checks of the samples, with the columns to read. ``threads``: number of threads
        that decode and pack; the result does not depend on it.

        Samples that are damaged, or whose relations are invalid, are reported to ``checks.bad``;
        the values returned for them are undefined. Raises ``DataError`` if an array cannot be
        opened.
        """

    @property
    def sample_arrays(self) -> Mapping[str, ArrayInfo]:
        """The arrays, by name, whose axis 0 counts the samples."""
        return {}

    @abstractmethod
    def check(self, columns: Columns) -> None:
        """Raise ``DataError`` if the shape of an array does not fit its part in ``columns``."""

    def sample_name(self, index: int) -> str:
        """The name of the sample ``index`` in messages."""
        return str(index)

    def numbering(self, start: int, stop: int) -> str:
        """A text that differs if ``start:stop`` stands for other samples; empty if it cannot."""
        return ""

    def error(
        self,
        problem: str,
        sample: int | None = None,
        array: str | None = None,
        remedy: str | None = None,
    ) -> DataError:
        """An error that names the store and, if given, a sample or an array."""
        name = None if sample is None else self.sample_name(sample)
        return DataError(problem, store=str(self.path), sample=name, array=array, remedy=remedy)

    @property
    def metadata_file(self) -> Path:
        """The JSON file that describes the root group."""
        return self.path / (".zgroup" if self.zarr_format == 2 else "zarr.json")

    def sample_shape(self, array: ArrayInfo) -> tuple[int, ...]:
        """The shape of one sample in ``array``."""
        return array.shape[1:] if array.name in self.sample_arrays else array.shape

    def sample_bytes(self) -> int:
        """Bytes of the decoded arrays of one sample."""
        return sum(
            array.item_bytes * math.prod(self.sample_shape(array)) for array in self.arrays.values()
        )

    def array(self, name: str) -> ArrayInfo:
        """The array ``name``; ``DataError`` naming the nearest one if there is none."""
        if name in self.arrays:
            return self.arrays[name]
        raise self.error(
            f"there is no array '{name}'", remedy=naming.did_you_mean(name, self.arrays)
        )

    def adjacency(self, name: str | None = None) -> ArrayInfo:
        """The array with the relations: ``name``, or the one with a usual name.

        Raises ``DataError`` if there is none, or if its shape is not that of ``adjacency_axes``.
        """
        name = name or next((n for n in naming.ADJACENCY if n in self.arrays), None)
        if name is None:
            raise self.error(
                f"there is no adjacency array ({', '.join(naming.ADJACENCY)})",
                remedy="name it with 'adjacency' in the reader's kwargs: "
                f"{naming.did_you_mean(naming.ADJACENCY[0], self.arrays)}",
            )
        array, axes = self.array(name), self.adjacency_axes
        lengths = dict(zip(axes, array.shape, strict=False))
        if array.shape != tuple(map(lengths.get, axes)):
            raise self.error(
                f"expected shape ({', '.join(axes)}), got {array.shape}",
                array=name,
                remedy="name the adjacency with 'adjacency' in the reader's kwargs",
            )
        return array
