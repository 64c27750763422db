"""Concatenation and selection of packed graphs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from qgpipe.data.graphs.adjacency import as_pairs
from qgpipe.data.graphs.packed import Attribute, Packed, offsets, ranges
from qgpipe.data.graphs.row_axis import Rows, rebuild, row_ptr, table


def select(packed: Packed, positions: np.ndarray) -> Packed:
    """The graphs at ``positions`` (integers [M], not negative), in that order."""
    arrays = table(packed)
    ptrs = {follow: row_ptr(packed, follow) for follow in follows(arrays) - {"graph"}}
    return take(packed, arrays, ptrs, np.asarray(positions, np.int64))


def take(
    packed: Packed,
    arrays: Mapping[str, Rows],
    ptrs: Mapping[str, np.ndarray],
    positions: np.ndarray,
) -> Packed:
    """As ``select``; ``arrays``: the table of ``packed``; ``ptrs``: offsets by row axis."""
    rows, taken = {"graph": positions}, {}
    for follow, ptr in ptrs.items():
        starts = ptr[positions]
        lengths = ptr[positions + 1] - starts
        taken[follow] = begins = offsets(lengths)
        rows[follow] = ranges(starts, lengths, begins)
    values = {name: array.take(rows[follow], axis=0) for name, (array, follow) in arrays.items()}
    return rebuild(packed, values, taken)


def concatenate(packs: Sequence[Packed]) -> Packed:
    """One ``Packed`` with the graphs of all, in order; all have the same attributes.

    Attributes whose kinds differ become ragged, constant edge attributes that differ are expanded,
    and edges of different formats become pairs.
    """
    if len(packs) == 1:
        return packs[0]
    packs = harmonised(packs)
    if len({type(pack.edges) for pack in packs}) > 1:
        packs = [replace(pack, edges=as_pairs(pack.edges, pack.sizes)) for pack in packs]
    tables = [table(pack) for pack in packs]
    values = {name: np.concatenate([t[name].values for t in tables]) for name in tables[0]}
    ptrs = {
        follow: join_offsets(row_ptr(pack, follow) for pack in packs)
        for follow in follows(tables[0]) - {"graph"}
    }
    return rebuild(packs[0], values, ptrs)


def harmonised(packs: Sequence[Packed]) -> list[Packed]:
    """The same graphs with the same kinds of attributes in all; edges keep their format."""
    first = packs[0]
    constants = {
        name: constant
        for name, constant in first.constants.items()
        if all(pack.constants.get(name) == constant for pack in packs)
    }
    stored = [name for name in first.attribute_names if name not in constants]
    columns = {name: _harmonised([p.attribute(name) for p in packs], packs) for name in stored}
    return [
        replace(
            pack,
            attributes={name: column[i] for name, column in columns.items()},
            constants=constants,
        )
        for i, pack in enumerate(packs)
    ]


def follows(arrays: Mapping[str, Rows]) -> set[str]:
    """The row axes of the arrays, and ``node``."""
    return {"node", *(rows.follow for rows in arrays.values())}


def join_offsets(ptrs: Iterable[np.ndarray]) -> np.ndarray:
    """Offsets [N+1] of concatenated arrays with the offsets ``ptrs``."""
    return offsets(np.concatenate([np.diff(ptr) for ptr in ptrs]))


def _harmonised(attributes: list[Attribute], packs: Sequence[Packed]) -> list[Attribute]:
    increment = any(attribute.increment for attribute in attributes)
    if len({attribute.kind for attribute in attributes}) == 1:
        return [replace(attribute, increment=increment) for attribute in attributes]
    return [
        replace(attribute, kind="ragged", ptr=pack.ptr_of(attribute), increment=increment)
        for attribute, pack in zip(attributes, packs, strict=True)
    ]
