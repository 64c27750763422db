"""``qgpipe.models.Sequential`` under QuantumGravPy's name."""

from qgpipe.models.layers.sequential import Sequential

__all__ = ["Sequential"]
