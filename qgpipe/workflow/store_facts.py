"""What ``qgpipe new`` finds out about raw stores: features, targets, and what a target holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qgpipe.causets import observables
from qgpipe.data.graphs.packed import Packed
from qgpipe.data.raw import naming
from qgpipe.data.raw.arrays import count_samples
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.raw.columns import is_integer
from qgpipe.data.raw.metadata import ArrayInfo
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.data.readers.reader import CausalSetReader

LOOKED_AT = 32  # samples at the beginning, in the middle and at the end of a store
MOST_CLASSES = 100  # integers beyond are values, such as counts
_FEATURES = frozenset(name for pair in naming.NODE_FEATURES for name in pair)

_KINDS = {"b": "true or false", "i": "integers", "u": "integers", "f": "real"}

Kind = Literal["classes", "binary", "values"]


@dataclass(frozen=True)
class Facts:
    """What a run can be made of, according to the metadata of stores and a few of their samples.

    ``node_features``, ``graph_features``: names for the reader; ``constant``: those left out
    because they do not vary. ``computed``: whether the relations are transitive, so that
    observables can be computed. ``target``: its name; ``kind``: what it holds, of which the samples
    have ``found``; ``of_elements``: it has a value for each element. ``class_names``: by the store.
    ``others``: further arrays, which are neither features nor the target. ``bad``: what is wrong
    with the first bad sample, if there are any.
    """

    adjacency: str
    node_features: list[str]
    graph_features: list[str]
    constant: list[str]
    computed: bool
    target: str
    kind: Kind
    found: np.ndarray
    of_elements: bool
    class_names: list[str] | None
    others: list[str]
    bad: str | None


def look_at(
    store: StoreInfo,
    target: str | None,
    node_features: Sequence[str],
    graph_features: Sequence[str],
) -> Facts:
    """The facts about ``store``; the features are those wanted, if they can be computed.

    ``target``: the array to predict, None if there is only one that could be meant. Raises
    ``DataError`` if it cannot be determined, if the store has no relations, or no features.
    """
    adjacency = _adjacency(store)
    chosen = store.array(target) if target else _only_target(store, adjacency)
    wanted = [[n for n in names if not _same(n, chosen.name)]
              for names in (node_features, graph_features)]  # fmt: skip
    computed = _is_transitive(store, adjacency.name)
    if not computed:
        wanted = [[n for n in store.arrays if _is_feature(n, "node") and n != chosen.name], []]
    bad = BadSamples(store, skip=True)
    reader = CausalSetReader(wanted[0], wanted[1], chosen.name, adjacency.name)
    packed = list(_samples(reader, bad))
    constant = [
        name
        for attribute, listed in (("x", wanted[0]), ("graph_features", wanted[1]))
        for name in _constant(packed, attribute, listed)
    ]
    kept, of_graphs = ([n for n in names if n not in constant] for names in wanted)
    if not kept:
        raise store.error(
            f"there are no node features: the relations in '{adjacency.name}' are not transitive, "
            "so none can be computed, and no array has a usual name",
            remedy="store the transitive relations as 'adjacency_matrix', or "
            f"{', '.join(naming.NODE_FEATURES[0])}",
        )
    found = np.unique(np.concatenate([graphs.attributes["y"].values for graphs in packed]))
    columns = CausalSetReader([], target=chosen.name, adjacency=adjacency.name).columns(store)
    return Facts(
        adjacency.name,
        kept,
        of_graphs,
        constant,
        computed,
        chosen.name,
        _kind(chosen, found),
        found,
        columns.node_target,
        list(columns.class_names) if columns.class_names else None,
        [array.name for array in _candidates(store, adjacency) if array != chosen],
        next((f"sample {index}: {reason}" for index, reason in bad.reasons.items()), None),
    )


def _adjacency(store: StoreInfo) -> ArrayInfo:
    """The relations: the array with a usual name, else the only one of their shape."""
    if any(name in store.arrays for name in naming.ADJACENCY):
        return store.adjacency()
    square = [a for a in store.arrays.values() if _is_square(store, a)]
    return square[0] if len(square) == 1 else store.adjacency()


def _is_square(store: StoreInfo, array: ArrayInfo) -> bool:
    shape = store.sample_shape(array)
    return len(shape) == 2 and shape[0] == shape[1] > 1


def _candidates(store: StoreInfo, adjacency: ArrayInfo) -> list[ArrayInfo]:
    """Arrays of numbers, one for each causal set or element, that are no features."""
    elements = store.sample_shape(adjacency)[0]
    shapes = ((), (1,), (elements,))
    return [
        array
        for name, array in store.arrays.items()
        if store.sample_shape(array) in shapes
        and array.dtype.startswith(("bool", "int", "uint", "float"))
        and name not in (*naming.SIZE, *naming.COUNT)
        and not _is_feature(name, "node") and not _is_feature(name, "graph")
    ]  # fmt: skip


def _is_feature(name: str, level: str) -> bool:
    observable = observables.find(name)
    return (level == "node" and name in _FEATURES) or (
        observable is not None and observable.level == level
    )


def _only_target(store: StoreInfo, adjacency: ArrayInfo) -> ArrayInfo:
    found = _candidates(store, adjacency)
    of_graphs = [a for a in found if store.sample_shape(a) in ((), (1,))]
    for some in (of_graphs, found):
        if len(some) == 1:
            return some[0]
    if not found:
        raise store.error(
            "no array could be the target", remedy="name one with --target, features included"
        )
    of_kind: dict[str, list[str]] = {}
    for array in sorted(found, key=lambda a: a.name not in naming.TARGET):  # usual ones first
        kind = _KINDS[array.dtype[0]] if array in of_graphs else "of elements"
        of_kind.setdefault(kind, []).append(array.name)
    listed = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in of_kind.items())
    raise store.error(
        f"several arrays could be the target ({listed})", remedy="choose one with --target"
    )


def _same(feature: str, target: str) -> bool:
    """Whether a feature is the target, perhaps normalised."""
    observable = observables.find(feature)
    return feature == target or (observable is not None and observable.base == target)


def _is_transitive(store: StoreInfo, adjacency: str) -> bool:
    reader = CausalSetReader([], target=[], adjacency=adjacency)
    bad = {order: BadSamples(store, skip=True) for order in (False, True)}
    for order, reported in bad.items():
        for start, stop in _blocks(store):
            reader.read(store, start, stop, validate_order=order, bad=reported)
    return bad[False].reasons.keys() == bad[True].reasons.keys()


def _samples(reader: CausalSetReader, bad: BadSamples) -> Iterator[Packed]:
    """A few samples as packed graphs, without bad ones. Raises ``DataError`` if all are bad."""
    read = 0
    for start, stop in _blocks(bad.store):
        graphs = reader.read(bad.store, start, stop, bad=bad)
        read += len(graphs.sample_index)
        yield graphs
    if read == 0:
        index, reason = next(iter(bad.reasons.items()))
        raise bad.store.error(reason, sample=index)


def _blocks(store: StoreInfo) -> list[tuple[int, int]]:
    """Ranges of samples at the beginning, in the middle and at the end."""
    samples = count_samples(store)
    starts = {0, max(0, (samples - LOOKED_AT) // 2), max(0, samples - LOOKED_AT)}
    if samples <= 3 * LOOKED_AT:
        return [(0, samples)]
    return [(start, start + LOOKED_AT) for start in sorted(starts)]


def _constant(packed: Sequence[Packed], attribute: str, names: Sequence[str]) -> list[str]:
    """The features of one column that have the same value wherever one looked."""
    if not names:
        return []
    values = np.concatenate([graphs.attributes[attribute].values for graphs in packed])
    if values.shape[1] != len(names):  # some have several columns
        return []
    same = np.ptp(values, axis=0) == 0
    return [name for name, is_same in zip(names, same, strict=True) if is_same]


def _kind(array: ArrayInfo, found: np.ndarray) -> Kind:
    if is_integer(array):
        return "classes" if found.min() >= 0 and found.max() < MOST_CLASSES else "values"
    return "binary" if np.isin(found, (0, 1)).all() and len(found) == 2 else "values"
