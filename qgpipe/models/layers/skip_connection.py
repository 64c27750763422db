"""A skip connection around one layer or several."""

from torch import Tensor, nn
from torch_geometric.nn import Linear

from qgpipe.models.construct.build_module import construct
from qgpipe.models.construct.configurable import Configurable


class SkipConnection(Configurable):
    """``x_new + proj(x_old)``, where ``proj`` is the identity if the sizes agree.

    Otherwise ``proj`` is a ``torch_geometric.nn.Linear``, with a bias only if ``bias_initializer``
    is given, because the skipped layer usually has one. Raises ``ConfigError`` for an unknown
    initializer.
    """

    definition = "skip_connection"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        weight_initializer: str | None = None,
        bias_initializer: str | None = None,
    ):
        super().__init__(locals())
        self.proj: nn.Module = nn.Identity()
        if in_channels != out_channels:
            options = {
                "bias": bias_initializer is not None,
                "weight_initializer": weight_initializer,
                "bias_initializer": bias_initializer,
            }
            self.proj = construct(Linear, [in_channels, out_channels], options)

    def forward(self, x_old: Tensor, x_new: Tensor) -> Tensor:
        """``x_old`` ``[N, in_channels]``, projected, plus ``x_new`` ``[N, out_channels]``."""
        return x_new + self.proj(x_old)
