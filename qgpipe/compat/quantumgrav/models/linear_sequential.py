"""Linear layers with activations."""

from qgpipe.compat.quantumgrav.base import AsThere
from qgpipe.models.layers import linear_sequential


class LinearSequential(AsThere, linear_sequential.LinearSequential):
    """``qgpipe.models.LinearSequential``."""
