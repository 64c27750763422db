"""The block of one graph layer."""

from typing import Any

from torch import nn

from qgpipe.compat.quantumgrav.base import AsThere
from qgpipe.models.layers import gnn_block

_TYPES = {
    "gnn_layer_type": "conv",
    "normalizer_type": "normalizer",
    "activation_type": "activation",
}
_ARGUMENTS = tuple(f"{part}_{kind}" for part in ("gnn_layer", "norm", "activation", "skip")
                   for kind in ("args", "kwargs"))  # fmt: skip


class GNNBlock(AsThere, gnn_block.GNNBlock):
    """``qgpipe.models.GNNBlock`` with its arguments as attributes."""

    in_dim: int
    out_dim: int
    with_skip: bool

    @property
    def dropout_p(self) -> float:
        """The probability of dropout."""
        return self.dropout.p

    def to_config(self) -> dict[str, Any]:
        """The arguments, types by the dotted names of their modules."""
        config = super().to_config()
        for name, part in _TYPES.items():
            kind: type[nn.Module] = type(getattr(self, part))
            config[name] = f"{kind.__module__}.{kind.__qualname__}"
        empty: dict[str, Any] = {name: [] if name.endswith("_args") else {} for name in _ARGUMENTS}
        return {**config, **{k: v for k, v in empty.items() if config[k] is None}}
