"""The built-in reader: reads whole blocks of causal sets into packed arrays."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qgpipe.config.objects import TAG
from qgpipe.data.graphs.adjacency import smaller_form
from qgpipe.data.graphs.packed import Attribute, BitAdjacency, Packed, offsets
from qgpipe.data.graphs.select import select
from qgpipe.data.raw import naming
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.raw.columns import Columns, Feature, choose_columns, is_integer
from qgpipe.data.raw.samples import Samples
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.data.raw.validation import Checks, class_numbers
from qgpipe.data.readers.computed_features import compute_features
from qgpipe.errors import ConfigError


class CausalSetReader:
    """Reads causal sets of any layout, many at once.

    ``node_features``: names of arrays with a value (or a row) for each element; they become the
    columns of ``x``. ``graph_features``: arrays with a value (or a row) for each causal set; the
    columns of ``graph_features``. A feature that is not an array of the store is computed from the
    relations if it has the name of an observable (:mod:`qgpipe.causets.observables`).
    ``target``: the array, or arrays, of ``y``. ``adjacency``, ``size``: the arrays of relations and
    of numbers of elements. ``class_names``: the names of the classes, by class index; by default
    those in the store. ``classes``: the values of the target in the store, if they are not 0, 1, …:
    the first one becomes class 0. ``keep``: arrays with a value (or a row) for each causal set that
    become attributes of the graphs under their own names. ``element_axis``: whether the elements
    are on the ``first`` axis of a causal set's rows of node features, or the ``last``, as Julia
    writes a matrix [n, k]; by default what fits the adjacency.

    ``adjacency`` may also name an ``edge_index``, two arrays of earlier and later elements, or the
    indptr and indices of a sparse matrix, whose rows are earlier elements. ``index_base``: the
    index of the first element in these, 0 or 1. ``edge_ptr``: where the edges of each sample begin
    in a list of those of all samples, or their numbers.

    Arrays that are not given are found by their usual names; graph features are only read if they
    are named, and an empty list means none.
    """

    def __init__(
        self,
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
    ):
        self.names: dict[str, Any] = {
            "node_features": node_features,
            "graph_features": graph_features,
            "target": target,
            "adjacency": adjacency,
            "size": size,
            "class_names": class_names,
            "keep": keep,
            "classes": classes,
            "element_axis": element_axis,
            "index_base": index_base,
            "edge_ptr": edge_ptr,
        }
        naming.check_names(self.names)
        self.names["keep"] = [keep] if isinstance(keep, str) else [*(keep or ())]

    def keeping(self, *names: str) -> CausalSetReader:
        """A reader of the same class that also keeps the arrays ``names``; this one if none."""
        if not names:
            return self
        reader = copy.copy(self)
        reader.names = {**self.names, "keep": [*self.names["keep"], *names]}
        return reader

    def columns(self, store: StoreInfo) -> Columns:
        """The arrays of ``store`` that are read. Raises ``DataError`` if there is no such array."""
        return choose_columns(store, **self.names)

    def describe(self, store: StoreInfo) -> dict[str, Any]:
        """Names of features, target and classes, as in the description of a part.

        ``computed``: the features that are computed, if there are any. ``classes``: the values of
        the target in the store, if they are not those of ``y``.
        """
        columns = self.columns(store)
        targets = [array.name for array in columns.target]
        computed = [observable.name for observable in columns.computed]
        return {
            "node_features": columns.node_features,
            "graph_features": columns.graph_features,
            "target": targets[0] if len(targets) == 1 else targets or None,
            "class_names": list(columns.class_names) if columns.class_names else None,
            **({"computed": computed} if computed else {}),
            **({"classes": list(columns.classes)} if columns.classes else {}),
        }

    def read(
        self,
        store: StoreInfo,
        start: int,
        stop: int,
        float_type: Any = "float32",
        int_type: Any = "int64",
        validate: bool = True,
        threads: int = 1,
        validate_order: bool = False,
        bad: BadSamples | None = None,
    ) -> Packed:
        """The samples ``start:stop`` of ``store`` as packed graphs.

        ``x`` [V, F] and ``graph_features`` [N, F'] have ``float_type``; ``y`` [N], or [N, T] for
        several targets, with V in place of N for those of elements, has ``int_type`` if all targets
        are integers or booleans, else ``float_type``; what is kept, [N] or [N, k], has the type
        that it is stored with. Edges run from past to future. NaN in path lengths becomes 0.

        ``threads``: number of threads that decode, and that pack; the result does not depend on it.
        ``validate_order``: also check that the relations are transitive. ``bad``: receives bad
        samples; by default the first one is an error.

        Raises ``DataError`` if an array cannot be opened, and for the first sample that is
        damaged or (``validate``) holds invalid values.
        """
        columns = self.columns(store)
        bad = bad or BadSamples(store)
        checks = Checks(columns, bad, validate, validate_order)
        samples = store.read(checks, start, stop, threads)
        reals = numpy_type(float_type, "data.float_type")
        checks.samples(samples, reals)
        compute_features(checks, samples, threads)
        attributes = {}
        if columns.node_columns:
            attributes["x"] = Attribute(_node_features(columns, samples, reals), "node")
        if columns.target:
            integers = numpy_type(int_type, "data.int_type")
            attributes["y"] = _target(columns, samples, reals, integers)
        if columns.graph_columns:
            features = _beside(columns.graph_columns, samples.graph, reals)
            attributes["graph_features"] = Attribute(features, "graph")
        for array in columns.kept:
            attributes[array.name] = _number_or_row(_as_columns(samples.graph[array.name]))
        packed = Packed(
            samples.index,
            offsets(samples.sizes),
            samples.edges,
            attributes,
            explicit_num_nodes=not columns.node_columns,
        )
        if bad.reasons:
            packed = select(packed, np.flatnonzero(bad.keep(samples.index)))
        if isinstance(packed.edges, BitAdjacency):
            packed.edges = smaller_form(packed.edges, packed.sizes)
        return packed


def numpy_type(value: Any, key: str) -> np.dtype:
    """The numpy type of a torch type, or of its name: ``torch.float32``, ``float32``.

    Raises ``ConfigError`` with ``key`` if there is none, as for bfloat16.
    """
    name = str(value).removeprefix(TAG).removeprefix("torch.")
    try:
        dtype = np.dtype(name)
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "iuf":
        raise ConfigError(
            f"'{value}' is no type of numbers that a part file holds",
            key=key,
            remedy="use torch.float32 and torch.int64, for instance",
        )
    return dtype


def _node_features(columns: Columns, samples: Samples, reals: np.dtype) -> np.ndarray:
    """``x`` [V, F]."""
    x = np.empty((int(samples.sizes.sum()), len(columns.node_features)), reals)
    column = 0
    for feature in columns.node_columns:
        values = _as_columns(samples.node[feature.name])
        filled = x[:, column : column + values.shape[1]]
        filled[:] = values
        if naming.is_path_length(feature.name):
            filled[np.isnan(filled)] = 0
        column += values.shape[1]
    return x


def _target(columns: Columns, samples: Samples, reals: np.dtype, integers: np.dtype) -> Attribute:
    """``y``: one number a graph, or a row of several; those of elements likewise."""
    dtype = integers if all(map(is_integer, columns.target)) else reals
    if columns.node_target:
        values = _numbered(columns, _beside(columns.target, samples.node, dtype))
        return Attribute(values[:, 0] if values.shape[1] == 1 else values, "node")
    return _number_or_row(_numbered(columns, _beside(columns.target, samples.graph, dtype)))


def _numbered(columns: Columns, values: np.ndarray) -> np.ndarray:
    """Targets as class numbers, 0 to k - 1, in place of their ``values`` in the store."""
    if columns.classes is None:
        return values
    return class_numbers(columns.classes, values).astype(values.dtype)


def _number_or_row(values: np.ndarray) -> Attribute:
    """``values`` [N, columns] as an attribute [N] if there is one column."""
    if values.shape[1] == 1:
        return Attribute(values[:, 0], "graph", scalar=True)
    return Attribute(values, "graph")


def _beside(
    features: Sequence[Feature], arrays: Mapping[str, np.ndarray], dtype: np.dtype
) -> np.ndarray:
    """The columns of ``features``, whose ``arrays`` have R rows, [R, F]."""
    columns = [_as_columns(arrays[feature.name]) for feature in features]
    return np.concatenate(columns, axis=1).astype(dtype)


def _as_columns(values: np.ndarray) -> np.ndarray:
    """``values`` [R, ...] as [R, columns]."""
    return values.reshape(len(values), math.prod(values.shape[1:]))
