"""Samples read from a store, before they are turned into features and targets."""

from dataclasses import dataclass

import numpy as np

from qgpipe.data.graphs.packed import BitAdjacency


@dataclass(eq=False)
class Samples:
    """``N`` causal sets with ``V`` elements in total.

    ``index``: int64 [N], indices in the store. ``sizes``: int64 [N]. ``edges``: the relations.
    ``node``: arrays [V, ...] by name. ``graph``: arrays [N, ...] by name.
    """

    index: np.ndarray
    sizes: np.ndarray
    edges: BitAdjacency
    node: dict[str, np.ndarray]
    graph: dict[str, np.ndarray]
