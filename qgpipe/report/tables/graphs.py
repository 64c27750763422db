"""Finds the graphs of the rows of a table in the part files, by sample id."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qgpipe.data.graphs.adjacency import edge_index
from qgpipe.data.graphs.packed import Packed
from qgpipe.data.graphs.select import select
from qgpipe.data.storage.part_file import open_part, read_part_info
from qgpipe.errors import DataError
from qgpipe.report.tables.result_files import rerun
from qgpipe.report.tables.results import RunResults


@dataclass(frozen=True)
class Graph:
    """A graph: its edges, int64 [2, E], and its node attribute ``pos``, [n, d], if any."""

    num_nodes: int
    edges: NDArray[np.int64]
    positions: NDArray[np.float64] | None


def graph_sizes(results: RunResults, ids: Sequence[str]) -> NDArray[np.int64]:
    """Number of nodes of the graphs ``ids`` (``store/index``), int64 [len(ids)].

    Raises ``DataError`` if one is in no part.
    """
    sizes = np.zeros(len(ids), np.int64)
    for part, rows, places in _located(results, ids):
        sizes[rows] = part.sizes[places]
    return sizes


def graph_values(results: RunResults, ids: Sequence[str], name: str) -> NDArray[np.float64]:
    """The attribute ``name`` of the graphs ``ids``, float64 [len(ids)]; NaN where it is not known.

    An integer that is not known is -1. Raises ``DataError`` if a graph is in no part, or if it has
    no such attribute of one number.
    """
    values = np.full(len(ids), np.nan)
    for part, rows, places in _located(results, ids):
        attribute = part.attributes.get(name)
        if (
            attribute is None
            or attribute.kind != "graph"
            or attribute.values.size != part.num_graphs
        ):
            raise DataError(
                f"the graphs of {results.dataset_json} have no '{name}' of one number each",
                remedy=rerun("preprocess"),
            )
        found = attribute.values.reshape(-1)[places]
        unknown = (found == -1) & (found.dtype.kind in "iu")
        values[rows] = np.where(unknown, np.nan, found.astype(float))
    return values


def graphs(results: RunResults, ids: Sequence[str]) -> list[Graph]:
    """The graphs ``ids`` (``store/index``). Raises ``DataError`` if one is in no part."""
    found: dict[int, Graph] = {}
    for part, rows, places in _located(results, ids):
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            found[row] = _graph(select(part, np.array([place])))
    return [found[row] for row in range(len(ids))]


def _graph(packed: Packed) -> Graph:
    position = packed.attributes.get("pos")
    known = position is not None and position.kind == "node" and position.values.ndim == 2
    return Graph(
        int(packed.sizes[0]),
        edge_index(packed.edges, packed.sizes),
        position.values.astype(float) if known and position is not None else None,
    )


def _located(
    results: RunResults, ids: Sequence[str]
) -> Iterator[tuple[Packed, NDArray[np.int64], NDArray[np.int64]]]:
    """Parts, with the rows of ``ids`` of graphs in them, and the indices of these graphs."""
    if not len(ids):
        return
    samples = pd.Series(ids, dtype=object).astype(str).str.rpartition("/")
    stores, index = samples[0].to_numpy(), pd.to_numeric(samples[2]).to_numpy(np.int64)
    of_store = _rows_of_stores(stores, index)
    missing = np.ones(len(ids), bool)
    for part in results.dataset["parts"]:
        if part["store"] not in of_store or not part["num_graphs"]:
            continue
        ordered, rows = of_store[part["store"]]
        rows = rows[slice(*np.searchsorted(ordered, [part["start"], part["stop"]]))]
        if not len(rows):
            continue
        file = results.dataset_json.parent / part["file"]
        packed = open_part(file, mapped=not read_part_info(file)["compressed"])
        places = np.searchsorted(packed.sample_index, index[rows])
        known = places < packed.num_graphs
        known[known] = packed.sample_index[places[known]] == index[rows][known]
        missing[rows[known]] = False
        yield packed, rows[known], places[known]
    if missing.any():
        raise DataError(
            f"{results.dataset_json} has no graph {ids[int(missing.argmax())]}, which was tested",
            remedy="make the predictions again with --forcerun test_run",
        )


def _rows_of_stores(
    stores: NDArray[np.object_], index: NDArray[np.int64]
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each store the indices of its samples in ascending order, and their rows."""
    order = np.lexsort((index, stores))
    cuts = np.flatnonzero(stores[order][1:] != stores[order][:-1]) + 1
    return {stores[rows[0]]: (index[rows], rows) for rows in np.split(order, cuts)}
