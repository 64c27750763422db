"""``qgpipe.models.GPSTransformer`` under QuantumGravPy's name."""

from qgpipe.models.layers.gps_transformer import GPSTransformer

__all__ = ["GPSTransformer"]
