"""The forms in which edges are held in memory and put into batches.

They are made once a data set, or once a batch where the graphs are mapped from disk.
``sizes`` are the numbers of nodes of the graphs, int64 [N]; ``largest`` is that of the largest
graph of all with which these are to be joined.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qgpipe.data.adjacency import as_bit_rows, sorted_and_unique, sorted_by_source
from qgpipe.data.lists import as_lists
from qgpipe.data.packed import BitAdjacency, BitRows, EdgeLists, EdgePairs, Form, Packed


def in_form(packed: Packed, form: Form, largest: int | None = None) -> Packed:
    """The same graphs with their edges as batches of ``form`` are made from.

    ``largest`` is that of these graphs if it is not given. Pairs stay as they are if their order
    (for ``dense``, also their number) would be lost.
    """
    edges, sizes = packed.edges, packed.sizes
    if not isinstance(edges, EdgePairs | BitAdjacency):
        return packed
    if isinstance(edges, EdgePairs):
        fits = sorted_and_unique(edges) if form == "dense" else sorted_by_source(edges)
        if not fits:
            return packed
    return replace(packed, edges=_converted(edges, sizes, form, largest))


def sorted_in_form(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, form: Form
) -> EdgeLists | BitRows:
    """The same edges, sorted; those with duplicates are listed also for ``dense``."""
    if isinstance(edges, EdgePairs):
        graph = np.repeat(np.arange(len(sizes)), np.diff(edges.edge_ptr))
        order = np.lexsort((edges.edge_index[1], edges.edge_index[0], graph))
        edges = EdgePairs(edges.edge_index[:, order], edges.edge_ptr)
        if form == "dense" and not sorted_and_unique(edges):
            form = "csr"
    return _converted(edges, sizes, form, None)


def _converted(
    edges: EdgePairs | BitAdjacency, sizes: np.ndarray, form: Form, largest: int | None
) -> EdgeLists | BitRows:
    largest = int(sizes.max(initial=0)) if largest is None else largest
    if form == "dense":
        return as_bit_rows(edges, sizes, largest)
    return as_lists(edges, sizes, largest, both_ends=form == "csr")
