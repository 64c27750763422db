"""Which arrays of a store become adjacency, node features, graph features and targets.

Features that a store does not have are computed from the relations, if they have the name of an
observable.

Only metadata is read, so that a misspelt name is found while the workflow is planned.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, NoReturn

from qgpipe.causets import observables
from qgpipe.causets.observables import Observable
from qgpipe.data.raw import naming
from qgpipe.data.raw.metadata import ArrayInfo, read_attributes, read_json
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.errors import shown

_NUMBERS = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_RESERVED = {
    "x", "y", "edge_index", "edge_attr", "graph_features", "batch", "ptr", "num_nodes",
    "num_graphs", "sample_position",
}  # fmt: skip


Feature = ArrayInfo | Observable


@dataclass(frozen=True)
class EdgeArrays:
    """Arrays of relations that are lists of edges or sparse matrices.

    ``arrays``: one [2, E], or [E, 2] if ``transposed``: earlier elements, later ones; or two [E] of
    these. If ``sparse``: indptr [n + 1], indices [E] and perhaps data [E]; rows are earlier
    elements, or later ones if ``transposed``. ``base``: the index of the first element. ``ptr``: if
    the edges of all samples are joined, where those of each begin, [samples + 1], or their numbers,
    [samples].
    """

    arrays: tuple[ArrayInfo, ...]
    base: int
    transposed: bool = False
    sparse: bool = False
    ptr: ArrayInfo | None = None


@dataclass(frozen=True)
class Columns:
    """The arrays that are read from ``store``, and the observables that are computed.

    ``node_columns`` make up ``x``, ``graph_columns`` the graph features, in this order. ``size`` is
    None where every causal set fills its adjacency matrix. ``class_names`` are the
    names of the classes of the target, by index, where they are known. ``kept`` become attributes
    of the graphs under their own names. ``node_target``: the target has a value, or a row, for each
    element. ``classes``: the values of the target in the store, if class i is not stored as i.
    ``transposed``: names of node features [k, n] of each causal set instead of [n, k].
    ``edges``: the arrays of relations that are no matrices; ``adjacency`` is then the first of
    them. ``elements``: their number in the first causal set, or in the largest if they are padded;
    None if no shape tells.
    """

    store: StoreInfo
    adjacency: ArrayInfo
    size: ArrayInfo | None
    node_columns: tuple[Feature, ...]
    graph_columns: tuple[Feature, ...]
    target: tuple[ArrayInfo, ...]
    class_names: tuple[str, ...] | None = None
    kept: tuple[ArrayInfo, ...] = ()
    node_target: bool = False
    classes: tuple[int, ...] | None = None
    transposed: frozenset[str] = frozenset()
    edges: EdgeArrays | None = None
    elements: int | None = None

    @property
    def relations(self) -> tuple[ArrayInfo, ...]:
        """The arrays of the relations of a sample: a matrix, or those of ``edges``."""
        return self.edges.arrays if self.edges else (self.adjacency,)

    @property
    def node(self) -> tuple[ArrayInfo, ...]:
        """The arrays with a value or a row per element, without duplicates."""
        features = (c for c in self.node_columns if isinstance(c, ArrayInfo))
        return tuple(dict.fromkeys((*features, *(self.target if self.node_target else ()))))

    @property
    def graph(self) -> tuple[ArrayInfo, ...]:
        """The graph features that are read."""
        return tuple(c for c in self.graph_columns if isinstance(c, ArrayInfo))

    @property
    def computed(self) -> tuple[Observable, ...]:
        """The features that are computed from the relations, each once."""
        columns = (*self.node_columns, *self.graph_columns)
        return tuple(dict.fromkeys(c for c in columns if isinstance(c, Observable)))

    @property
    def arrays(self) -> tuple[ArrayInfo, ...]:
        """All arrays except the adjacency, without duplicates."""
        size = (self.size,) if self.size else ()
        return tuple(dict.fromkeys((*size, *self.node, *self.of_graphs)))

    @property
    def class_target(self) -> ArrayInfo | None:
        """The only target that is an integer; None if there is none, or several."""
        integers = tuple(filter(is_integer, self.target))
        return integers[0] if len(integers) == 1 else None

    @property
    def of_graphs(self) -> tuple[ArrayInfo, ...]:
        """The arrays with a value or a row per causal set, without duplicates."""
        target = () if self.node_target else self.target
        return tuple(dict.fromkeys((*self.graph, *target, *self.kept)))

    @property
    def node_features(self) -> list[str]:
        """The names of the columns of ``x``."""
        return self._column_names(self.node_columns, own_axes=1)

    @property
    def graph_features(self) -> list[str]:
        """The names of the columns of ``graph_features``."""
        return self._column_names(self.graph_columns, own_axes=0)

    def _column_names(self, features: tuple[Feature, ...], own_axes: int) -> list[str]:
        """``name``, or ``name[0], name[1], …`` for a feature with several columns."""
        result = []
        for feature in features:
            if isinstance(feature, Observable):
                width = feature.width
            elif feature.name in self.transposed:
                width = self.store.sample_shape(feature)[0]
            else:
                width = prod(self.store.sample_shape(feature)[own_axes:])
            name = feature.name
            result += [name] if width == 1 else [f"{name}[{i}]" for i in range(width)]
        return result


def choose_columns(
    store: StoreInfo,
    node_features: str | Sequence[str] | None = None,
    graph_features: str | Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    adjacency: str | Sequence[str] | None = None,
    size: str | None = None,
    class_names: Sequence[str] | None = None,
    keep: str | Sequence[str] | None = None,
    classes: Sequence[int] | None = None,
    element_axis: str | None = None,
    index_base: int = 0,
    edge_ptr: str | None = None,
) -> Columns:
    """The arrays with the given names; for None, the arrays with the usual names.

    A target is one of elements if its array has as many rows as there are elements: [samples, n, …]
    beside relations [samples, n, n]. An empty list means none of the kind. Graph features and what
    is to be kept are never taken unasked. A feature that is no array of the store is computed, if
    it has the name of an observable (:mod:`qgpipe.causets.observables`).

    Raises ``DataError`` for a name that the store does not have (with the nearest one), for
    an array whose shape or type does not fit its use, and if no array with a usual name is found.
    """
    edges = _edges(store, adjacency, index_base, edge_ptr)
    named = adjacency if adjacency is None or isinstance(adjacency, str) else adjacency[0]
    relations = edges.arrays[0] if edges else store.adjacency(named)
    _check_number(store, relations)
    targets = tuple(store.array(name) for name in _target_names(store, target))
    node_columns = tuple(
        _feature(store, name, "node") for name in _node_names(store, node_features)
    )
    sizes = _size(store, size, in_groups=edges is not None)
    if edges:
        elements = _elements(store, edges, node_columns, element_axis)
        if elements is None and sizes is None:
            raise store.error(
                f"'{relations.name}' does not say how many elements a causal set has",
                remedy="name an array that does with 'size' in the reader's kwargs "
                f"({', '.join(naming.SIZE)})",
            )
    else:
        elements = store.sample_shape(relations)[0]
    chosen = Columns(
        store=store,
        adjacency=relations,
        size=sizes,
        node_columns=node_columns,
        graph_columns=tuple(
            _feature(store, name, "graph") for name in _listed(graph_features or ())
        ),
        target=targets,
        node_target=_is_of_nodes(store, elements, targets),
        kept=tuple(_kept(store, name) for name in dict.fromkeys(_listed(keep or ()))),
        edges=edges,
        elements=elements,
    )
    for array in chosen.arrays:
        _check_number(store, array)
    chosen = replace(chosen, transposed=_transposed(chosen, element_axis))
    store.check(chosen)
    if classes is not None and chosen.class_target is None:
        raise store.error(
            "'classes' needs one integer target",
            remedy="leave it out of the reader's kwargs, or name another target",
        )
    names = _class_names(store, chosen.target, class_names)
    if classes is not None:
        names = _names_of(store, tuple(classes), names)
    return replace(chosen, class_names=names, classes=None if classes is None else tuple(classes))


def is_integer(array: ArrayInfo) -> bool:
    """Whether the values are integers or booleans."""
    return array.dtype.startswith(("bool", "int", "uint"))


def _size(store: StoreInfo, name: str | None, in_groups: bool) -> ArrayInfo | None:
    """The array with the sizes of padded causal sets; None if they are not padded.

    ``in_groups``: also if each causal set has its own arrays.
    """
    name = name or next((usual for usual in naming.SIZE if usual in store.arrays), None)
    if name is None:
        return None
    array = store.array(name)
    if not is_integer(array):
        refuse_array(store, array, f"sizes have to be integers, not {array.dtype}", "size")
    return array if in_groups else store.sample_arrays.get(name)


def _edges(
    store: StoreInfo, given: str | Sequence[str] | None, base: int, ptr: str | None
) -> EdgeArrays | None:
    """The arrays of relations that are lists of edges or sparse matrices; None for matrices.

    ``given``, ``base``, ``ptr``: the reader's ``adjacency``, ``index_base``, ``edge_ptr``.
    """
    names = _edge_names(store, given)
    if not names or store.edges is None:
        return None
    arrays = tuple(store.array(name) for name in names)
    of_rows = [array for array in arrays if array.name.endswith("ptr")] if len(arrays) == 2 else []
    for array in arrays:
        if not is_integer(array):
            problem = f"indices of elements have to be integers, not {array.dtype}"
            refuse_array(store, array, problem, "adjacency")
        axes = 2 if len(arrays) == 1 else 1
        if len(array.shape) != axes or (axes == 2 and 2 not in array.shape):
            expected = "(2, E)" if axes == 2 else "(E,)"
            refuse_array(store, array, f"expected shape {expected}, got {array.shape}", "adjacency")
    if of_rows:
        if store.edges == "joined":
            problem = "sparse matrices are read from a group for each causal set"
            refuse_array(store, of_rows[0], problem, "adjacency")
        return _sparse(store, arrays, of_rows[0], base)
    if len(arrays) == 2 and arrays[0].shape != arrays[1].shape:
        problem = f"expected the shape of '{arrays[0].name}', {arrays[0].shape}, got "
        refuse_array(store, arrays[1], f"{problem}{arrays[1].shape}", "adjacency")
    transposed = len(arrays) == 1 and arrays[0].shape[0] != 2
    joined = _edge_ptr(store, arrays[0], ptr) if store.edges == "joined" else None
    return EdgeArrays(arrays, base, transposed, ptr=joined)


def _edge_names(store: StoreInfo, given: str | Sequence[str] | None) -> Sequence[str]:
    """The names of the arrays of edges; empty if the relations are matrices.

    ``given`` may be an array, a list of two, or a group of arrays with usual names.
    """
    if given is not None and not isinstance(given, str):
        return given
    if given is not None and given in store.arrays:
        shape = store.arrays[given].shape
        is_list = len(shape) == 2 and 2 in shape and (shape[0] != shape[1] or store.sample_arrays)
        return [given] if is_list or given.rpartition("/")[2] in naming.EDGE_INDEX else []
    if given is None and any(name in store.arrays for name in naming.ADJACENCY):
        return []
    groups = [f"{given}/"] if given else ["", *(f"{name}/" for name in naming.ADJACENCY)]
    usual = [[name] for name in naming.EDGE_INDEX] + [[*naming.SPARSE]]
    found = ([group + name for name in names] for group in groups for names in usual)
    return next((names for names in found if all(name in store.arrays for name in names)), [])


def _sparse(
    store: StoreInfo, arrays: tuple[ArrayInfo, ...], indptr: ArrayInfo, base: int
) -> EdgeArrays:
    """A sparse matrix, with the ``data`` beside its arrays.

    Rows are the earlier elements if ``indptr`` is the first of ``arrays``, and the group does not
    say that it holds a ``csc_matrix``, as anndata does.
    """
    folder, group = indptr.path.parent, indptr.name.rpartition("/")[0]
    node = read_json(folder / "zarr.json", {}) if store.zarr_format == 3 else {}
    encoding = read_attributes(folder, store.zarr_format, node).get("encoding-type")
    indices = arrays[1] if arrays[0] == indptr else arrays[0]
    data = store.arrays.get(f"{group}/data" if group else "data")
    with_data = (data,) if data and data.shape == indices.shape else ()
    for array in with_data:
        _check_number(store, array)
    by_later = (arrays[0] != indptr) != (encoding == "csc_matrix")
    return EdgeArrays((indptr, indices, *with_data), base, by_later, sparse=True)


def _edge_ptr(store: StoreInfo, edges: ArrayInfo, name: str | None) -> ArrayInfo:
    """The array that says which of the joined ``edges`` belong to which sample."""
    name = name or next((usual for usual in naming.EDGE_PTR if usual in store.arrays), None)
    samples = store.num_samples
    if name is None:
        raise store.error(
            "nothing says which edges belong to which causal set",
            array=edges.name,
            remedy="name the offsets, or the numbers of edges, with 'edge_ptr' in the reader's "
            f"kwargs ({', '.join(naming.EDGE_PTR)})",
        )
    array = store.array(name)
    if not is_integer(array) or array.shape not in ((samples,), (samples + 1,)):
        problem = f"expected {samples + 1} offsets or {samples} numbers of edges, integers, got "
        refuse_array(store, array, f"{problem}{array.dtype} {array.shape}", "edge_ptr")
    return array


def _elements(
    store: StoreInfo,
    edges: EdgeArrays,
    features: Sequence[Feature],
    element_axis: str | None,
) -> int | None:
    """How many elements the shapes of a sparse matrix, or of node features, tell."""
    if edges.sparse:
        return edges.arrays[0].shape[0] - 1
    shapes = [store.sample_shape(a) for a in features if isinstance(a, ArrayInfo)]
    shapes.sort(key=len)
    if not shapes or not shapes[0]:
        return None
    return shapes[0][-1 if element_axis == "last" else 0]


def _listed(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _node_names(store: StoreInfo, given: str | Sequence[str] | None) -> Sequence[str]:
    if given is not None:
        return _listed(given)
    for usual in naming.NODE_FEATURES:
        if all(name in store.arrays for name in usual):
            return usual
    raise store.error(
        f"there are no node features ({', '.join(naming.NODE_FEATURES[0])})",
        remedy="name them with 'node_features' in the reader's kwargs: "
        f"{naming.did_you_mean(naming.NODE_FEATURES[0][0], store.arrays)}",
    )


def _target_names(store: StoreInfo, given: str | Sequence[str] | None) -> Sequence[str]:
    if given is not None:
        return _listed(given)
    for usual in naming.TARGET:
        if usual in store.arrays:
            return [usual]
    raise store.error(
        f"there is no target ({', '.join(naming.TARGET)})",
        remedy="name it with 'target' in the reader's kwargs ([] for none): "
        f"{naming.did_you_mean(naming.TARGET[0], store.arrays)}",
    )


def _is_of_nodes(store: StoreInfo, elements: int | None, targets: tuple[ArrayInfo, ...]) -> bool:
    """Whether ``targets`` are of elements. Raises ``DataError`` if some are, and some are not."""
    found = {array: store.sample_shape(array)[:1] == (elements,) for array in targets}
    if len(set(found.values())) < 2:
        return any(found.values())
    graph = next(array.name for array, is_of_nodes in found.items() if not is_of_nodes)
    node = next(array for array, is_of_nodes in found.items() if is_of_nodes)
    problem = f"it has a value for each element, '{graph}' one for each causal set"
    refuse_array(store, node, problem, "target")


def _feature(store: StoreInfo, name: str, level: Literal["node", "graph"]) -> Feature:
    """The array ``name``, or the observable of that name."""
    if name in store.arrays:
        return store.arrays[name]
    observable = observables.find(name)
    if observable is not None and observable.level == level:
        return observable
    if observable is not None:
        right = f"{observable.level}_features"
        raise store.error(
            f"'{name}' has one value for each {_HAS[observable.level]}",
            remedy=f"name it in '{right}' of the reader's kwargs",
        )
    raise store.error(
        f"there is no array '{name}'",
        remedy=naming.did_you_mean(name, store.arrays, observables.names(level)),
    )


_HAS = {"node": "element", "graph": "causal set"}


def _kept(store: StoreInfo, name: str) -> ArrayInfo:
    array = store.array(name)
    if name in _RESERVED:
        refuse_array(store, array, "a graph has an attribute of this name already", "keep")
    return array


def _class_names(
    store: StoreInfo, target: tuple[ArrayInfo, ...], given: Sequence[str] | None
) -> tuple[str, ...] | None:
    """Names by class index: ``given``, else the ``class_names`` attribute of the target.

    An attribute of the whole store names the classes of ``cset_type``.
    """
    target = tuple(filter(is_integer, target))
    if len(target) != 1:
        if given:
            raise store.error(
                "class names need one integer target",
                remedy="leave class_names out of the reader's kwargs, or name another target",
            )
        return None
    stored = target[0].attributes.get("class_names")
    if stored is None and target[0].name == naming.TARGET[0]:
        stored = store.attributes.get("class_names")
    if stored is not None and not (
        isinstance(stored, list) and all(isinstance(name, str | int) for name in stored)
    ):
        problem = f"the attribute class_names is no list of names: {shown(stored)}"
        refuse_array(store, target[0], problem, None)
    chosen = given if given is not None else stored
    return tuple(map(str, chosen)) if chosen else None


def _transposed(columns: Columns, element_axis: str | None) -> frozenset[str]:
    """The names of the node features with the elements on the last of two axes.

    Unless ``element_axis`` says, these are the ones that do not fit otherwise.
    """
    elements = columns.elements
    found = set()
    for array in columns.node_columns:
        shape = columns.store.sample_shape(array) if isinstance(array, ArrayInfo) else ()
        if len(shape) == 2 and array.name not in {target.name for target in columns.target}:
            fits = (
                elements is not None
                and shape[0] != elements
                and (shape[1] == elements or shape[0] < elements < shape[1])
            )
            if element_axis == "last" or (element_axis is None and fits):
                found.add(array.name)
    return frozenset(found)


def _names_of(
    store: StoreInfo, classes: tuple[int, ...], names: tuple[str, ...] | None
) -> tuple[str, ...]:
    """The names of ``classes``: one each in their order, or found in ``names`` by their values.

    Classes without names are named after their values.
    """
    if names is None:
        return tuple(map(str, classes))
    if len(names) == len(classes):
        return names
    if all(0 <= value < len(names) for value in classes):
        return tuple(names[value] for value in classes)
    raise store.error(
        f"there are {len(names)} class names for the {len(classes)} classes {shown([*classes])}",
        remedy="give as many 'class_names' as 'classes' in the reader's kwargs",
    )


def _check_number(store: StoreInfo, array: ArrayInfo) -> None:
    if _NUMBERS.fullmatch(array.dtype):
        return
    is_text = re.search(r"utf|string|bytes|^[|<>]?[US]\d", array.dtype)
    raise store.error(
        f"expected numbers, got {'text' if is_text else f'the type {array.dtype}'}",
        array=array.name,
        remedy="store a number for each, integers for classes",
    )


def refuse_array(store: StoreInfo, array: ArrayInfo, problem: str, key: str | None) -> NoReturn:
    """Raise ``DataError``; ``key``: the reader's argument that can name another array, if any."""
    remedy = f"name another array with '{key}' in the reader's kwargs" if key else None
    raise store.error(problem, array=array.name, remedy=remedy)
