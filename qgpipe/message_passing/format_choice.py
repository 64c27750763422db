"""Chooses the edge format for a model, its data and a device."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from qgpipe.errors import ConfigError
from qgpipe.message_passing.edge_format import EdgeFormat
from qgpipe.message_passing.layers import SUPPORTED


@dataclass(frozen=True)
class Density:
    """The density of the adjacency matrices of a data set.

    ``graphs``, ``edges`` and ``pairs`` (pairs of nodes within a graph) are totals; ``largest``:
    number of nodes of the largest graph.
    """

    graphs: int
    edges: int
    pairs: int
    largest: int

    @property
    def share(self) -> float:
        """Edges divided by pairs of nodes: at most 0.5 in causal sets."""
        return self.edges / max(self.pairs, 1)

    def __str__(self) -> str:
        edges = self.edges / max(self.graphs, 1)
        return f"{edges:.0f} edges a graph, {100 * self.share:.1f} % of all pairs of nodes"


@dataclass(frozen=True)
class Choice:
    """An edge format, and the reason for it."""

    edge_format: EdgeFormat
    reason: str


# Edges per graph; with fewer, converting the edges takes as long as it saves. This number and the
# next are from benchmarks/results/step.md.
FEW_EDGES = 300

# Share of all pairs of nodes; above it dense products are faster than sparse ones on a CPU.
DENSE_ON_CPU = 0.4

# The same for large graphs, of which dense products take only strips with edges. With a natural
# labelling both took the same time at 24, 22 and 17 % for 1,024, 2,048 and 4,096 nodes.
DENSE_IF_LARGE = 0.22
LARGE = 1024  # nodes, on average

# Estimated, not measured: dense products reach about 40 TFLOP/s in single precision, sparse ones
# less than 1, limited by irregular reads.
DENSE_ELSEWHERE = 0.02


def choose(
    requested: EdgeFormat | Literal["auto"],
    model: nn.Module,
    takes_adjacency: bool,
    density: Density,
    device_type: str,
    deterministic: bool = False,
) -> Choice:
    """The edge format for ``training.message_passing``.

    ``requested`` is its value; ``takes_adjacency``: whether the model can be called with an
    adjacency; ``deterministic``: whether results must be bit-identical. The choice depends only on
    the arguments, so a resumed run makes the same choice.

    Raises ``ConfigError`` for ``csr`` if it must be deterministic on a GPU: with the algorithm that
    torch selects, cuSPARSE adds in no fixed order.
    """
    csr_is_allowed = device_type == "cpu" or not deterministic
    if requested == "csr" and not csr_is_allowed:
        raise ConfigError(
            "sparse products on a GPU are not the same to the bit each time",
            key="training.message_passing",
            remedy="set it to auto, dense or edges, or training.deterministic to false",
        )
    if requested == "edges":
        return Choice("edges", "as configured")
    if not takes_adjacency:
        return Choice("edges", "the model is called with edge_index")
    if not any(isinstance(module, SUPPORTED) for module in model.modules()):
        names = ", ".join(kind.__name__ for kind in SUPPORTED)
        return Choice("edges", f"no layer is one of {names}")
    if requested != "auto":
        return Choice(requested, "as configured")
    reason = f"{density}, on {device_type}"
    if density.edges < FEW_EDGES * density.graphs:
        return Choice("edges", reason)
    on_cpu = DENSE_IF_LARGE if density.pairs >= density.graphs * LARGE**2 else DENSE_ON_CPU
    least = on_cpu if device_type == "cpu" else DENSE_ELSEWHERE
    if density.share >= least:
        return Choice("dense", reason)
    if not csr_is_allowed:
        return Choice("edges", f"{reason}, and deterministic")
    return Choice("csr", reason)
