"""A sequence of layers."""

from typing import Any

from qgpipe.compat.quantumgrav.base import AsThere
from qgpipe.models.layers import sequential


class Sequential(AsThere, sequential.Sequential):
    """``qgpipe.models.Sequential``."""

    @property
    def skipconnection(self) -> Any:
        """The skip connection, None if there is none."""
        return self.skip
