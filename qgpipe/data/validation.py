"""Checks of samples while they are read: all at once, with an error that names the sample."""

from __future__ import annotations

import numpy as np

from qgpipe.data import names
from qgpipe.data.columns import Columns
from qgpipe.data.packed import Packed
from qgpipe.data.samples import Samples
from qgpipe.data.stores import StoreInfo
from qgpipe.errors import DataError

SKIP = "mend the store, or set data.validate_data to false"


def check_sizes(store: StoreInfo, columns: Columns, sizes: np.ndarray, index: np.ndarray) -> None:
    """Raise ``DataError`` unless every causal set has 1 to n elements.

    ``sizes``, ``index``: integers [N], sizes and places in the store; n is the side of the
    adjacency matrices.
    """
    largest = columns.adjacency.shape[-1]
    wrong = np.flatnonzero((sizes < 1) | (sizes > largest))
    if len(wrong):
        raise DataError(
            f"a size of {sizes[wrong[0]]} does not fit an adjacency of {largest} x {largest}",
            store=str(store.path),
            sample=store.sample_name(int(index[wrong[0]])),
            array=columns.size.name if columns.size else columns.adjacency.name,
            remedy="sizes are from 1 to n; name the array of sizes with 'size' in the reader's "
            "kwargs",
        )


def refuse_values(
    store: StoreInfo,
    columns: Columns,
    values: np.ndarray,
    sizes: np.ndarray,
    first_sample: int,
    first_source: int = 0,
) -> None:
    """Raise ``DataError`` for the first entry that is neither zero nor one.

    ``values``: [B, targets, sources], of which the sources begin at ``first_source``; what lies
    beyond a causal set's size (``sizes``: [B]) may be anything.
    """
    place, target, source = np.nonzero((values != 0) & (values != 1))
    source = source + first_source
    inside = np.flatnonzero((target < sizes[place]) & (source < sizes[place]))
    if not len(inside):
        return
    k = inside[0]
    value = values[place[k], target[k], source[k] - first_source]
    raise DataError(
        f"a relation is 0 or 1, but the entry [{target[k]}, {source[k]}] is {value:g}",
        store=str(store.path),
        sample=store.sample_name(first_sample + int(place[k])),
        array=columns.adjacency.name,
        remedy=SKIP,
    )


def check_relations(
    store: StoreInfo, columns: Columns, found: np.ndarray, first_sample: int
) -> None:
    """Raise ``DataError`` if ``found`` (see :func:`qgpipe.data.dense.contradictions`) has rows."""
    if not len(found):
        return
    place, source, target = found[0]
    if source == target:
        problem = f"element {source} precedes itself"
    else:
        problem = f"elements {source} and {target} precede each other"
    raise DataError(
        f"this is no partial order: {problem}",
        store=str(store.path),
        sample=store.sample_name(first_sample + int(place)),
        array=columns.adjacency.name,
        remedy=SKIP,
    )


def check_samples(store: StoreInfo, columns: Columns, samples: Samples) -> None:
    """Check node features, graph features and targets.

    Raises ``DataError`` for a value that is not finite (the path lengths may hold NaN, which is
    read as 0) and for a class without a name.
    """
    ptr = np.cumsum(samples.sizes)
    for array in columns.node:
        values = samples.node[array.name]
        if not array.name.startswith(names.PATH_LENGTH_PREFIX):
            _check_finite(store, array.name, values, samples, ptr)
    for array in (*columns.graph, *columns.target):
        _check_finite(store, array.name, samples.graph[array.name], samples, None)
    if columns.class_names:
        _check_classes(store, columns, samples)


def check_node_features(store: StoreInfo, packed: Packed) -> None:
    """Raise ``DataError`` if ``x`` of a graph that a user's reader made is not finite."""
    x = packed.attributes.get("x")
    if x is None or x.kind != "node" or x.values.dtype.kind != "f" or np.isfinite(x.values).all():
        return
    node = int(np.argwhere(~np.isfinite(x.values))[0][0])
    place = int(np.searchsorted(packed.node_ptr, node, side="right")) - 1
    raise DataError(
        f"x of node {node - packed.node_ptr[place]} is not finite",
        store=str(store.path),
        sample=store.sample_name(int(packed.sample_index[place])),
        remedy="replace NaN and infinity in the reader, or set data.validate_data to false",
    )


def _check_finite(
    store: StoreInfo, name: str, values: np.ndarray, samples: Samples, ptr: np.ndarray | None
) -> None:
    """``ptr``: ends of the samples' rows [N], or None for one row a sample."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    row = int(np.argwhere(~np.isfinite(values))[0][0])
    place = row if ptr is None else int(np.searchsorted(ptr, row, side="right"))
    value = values[row][~np.isfinite(values[row])][0] if values.ndim > 1 else values[row]
    raise DataError(
        f"the value {value} is not finite",
        store=str(store.path),
        sample=store.sample_name(int(samples.index[place])),
        array=name,
        remedy=SKIP,
    )


def _check_classes(store: StoreInfo, columns: Columns, samples: Samples) -> None:
    (target,) = columns.target
    classes = samples.graph[target.name].reshape(len(samples.index), -1).astype(np.int64)
    known = len(columns.class_names or ())
    wrong = np.argwhere((classes < 0) | (classes >= known))
    if len(wrong):
        place, column = wrong[0]
        raise DataError(
            f"class {classes[place, column]} has no name; there are {known} names",
            store=str(store.path),
            sample=store.sample_name(int(samples.index[place])),
            array=target.name,
            remedy="name every class in 'class_names' of the reader's kwargs",
        )
