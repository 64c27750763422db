"""Stores with a group ``cset_1``, ``cset_2``, … for each sample, as QuantumGrav.jl writes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from qgpipe.data.raw.metadata import arrays_in
from qgpipe.data.raw.stores import Root, StoreInfo
from qgpipe.errors import DataError

if TYPE_CHECKING:
    from qgpipe.data.raw.columns import Columns
    from qgpipe.data.raw.samples import Samples
    from qgpipe.data.raw.validation import Checks

GROUP_NAME = re.compile(r"cset_(\d+)")


@dataclass(frozen=True)
class Groups(StoreInfo):
    """A store with a group of arrays for each sample, and nothing padded.

    ``groups``: the numbers of the groups, ascending. ``digits``: minimum number of digits in their
    names: 3 for ``cset_001``.
    """

    layout = "groups"
    adjacency_axes = ("n", "n")
    edges = "own"

    groups: tuple[int, ...]
    digits: int

    @classmethod
    def open(cls, root: Root) -> Self | None:
        """See ``StoreInfo``; also raises ``DataError`` if groups are named in different ways."""
        names = dict.fromkeys(filter(GROUP_NAME.fullmatch, root.entries))
        if not names:
            return None
        for name in names:
            if not root.entries[name]:
                raise root.error(
                    f"'{name}' is not a group but a file",
                    remedy="write the store again, or rename the file",
                )
        numbers, digits = _numbers(root.path, (name.removeprefix("cset_") for name in names))
        count = root.arrays(but=names)[1]
        attributes = root.attributes
        first = root.path / f"cset_{numbers[0]:0{digits}d}"
        names_in_first = [n for n, is_folder in root.children(first).items() if is_folder]
        arrays = arrays_in(first, root.zarr_format, names_in_first, root.children)
        return cls(
            root.path, root.zarr_format, arrays, attributes, len(numbers), count, numbers, digits
        )

    def check(self, columns: Columns) -> None:
        """Nothing to do: arrays are compared with those of the first sample while they are read."""

    def read(self, checks: Checks, start: int, stop: int, threads: int) -> Samples:
        """See ``StoreInfo``; samples are in the order of the groups' numbers."""
        from qgpipe.data.readers.read_groups import read_groups

        return read_groups(checks, self.group_name, start, stop, threads)

    def group_name(self, index: int) -> str:
        """The group of the sample ``index``."""
        return f"cset_{self.groups[index]:0{self.digits}d}"

    def sample_name(self, index: int) -> str:
        """The sample ``index`` with its group."""
        return f"{index} ({self.group_name(index)})"

    def numbering(self, start: int, stop: int) -> str:
        """Empty for consecutive groups from 1 on, else a digest of the groups' numbers."""
        groups = self.groups[start:stop]
        if groups == tuple(range(start + 1, start + 1 + len(groups))):
            return ""
        return f"-{hashlib.sha256(repr(groups).encode()).hexdigest()[:16]}"


def _numbers(path: Path, digits: Iterable[str]) -> tuple[tuple[int, ...], int]:
    """The numbers of groups, ascending, and the minimum number of digits."""
    found = sorted((int(text), text) for text in digits)
    width = min((len(text) for _, text in found), default=1)
    for number, text in found:
        if text != f"{number:0{width}d}":
            other = next(other for _, other in found if len(other) == width)
            raise DataError(
                f"the groups 'cset_{other}' and 'cset_{text}' are named in different ways",
                store=str(path),
                remedy="name all as cset_1, cset_2, … or all as cset_001, cset_002, …",
            )
    return tuple(number for number, _ in found), width
