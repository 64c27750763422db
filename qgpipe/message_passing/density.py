"""How many of the possible edges a data set has."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Density:
    """How full the adjacency matrices of a data set are.

    ``graphs``, ``edges`` and ``pairs`` (of nodes, of one graph) count in the whole set;
    ``largest`` is the number of nodes of the largest graph.
    """

    graphs: int
    edges: int
    pairs: int
    largest: int

    @property
    def share(self) -> float:
        """Edges by pairs of nodes: up to 0.5 in causal sets."""
        return self.edges / max(self.pairs, 1)

    def __str__(self) -> str:
        edges = self.edges / max(self.graphs, 1)
        return f"{edges:.0f} edges a graph, {100 * self.share:.1f} % of all pairs of nodes"
