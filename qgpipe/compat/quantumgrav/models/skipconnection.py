"""``qgpipe.models.SkipConnection`` under QuantumGravPy's name."""

from qgpipe.models.layers.skip_connection import SkipConnection

__all__ = ["SkipConnection"]
