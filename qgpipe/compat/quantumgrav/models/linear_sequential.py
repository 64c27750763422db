"""``qgpipe.models.LinearSequential`` under QuantumGravPy's name."""

from qgpipe.models.layers.linear_sequential import LinearSequential

__all__ = ["LinearSequential"]
