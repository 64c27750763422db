"""A graph layer with normalisation, activation, skip connection and dropout."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn import GCNConv

from qgpipe.models.construct.bind_arguments import named_parameters, wire
from qgpipe.models.construct.build_module import construct
from qgpipe.models.construct.configurable import Configurable
from qgpipe.models.layers.skip_connection import SkipConnection


class GNNBlock(Configurable):
    """``dropout(activation(norm(conv(x, edge_index))) + skip(x))``.

    The graph layer is built with ``in_dim, out_dim`` before ``gnn_layer_args``. Layer and
    normalisation get ``batch`` if they take it (``GraphNorm``). The skip connection is
    ``SkipConnection(in_dim, out_dim, **skip_kwargs)`` unless ``skip_args`` gives its sizes. Use
    ``torch.nn.Identity`` for no normalisation or activation.

    Raises ``ConfigError`` for a part that cannot be constructed.
    """

    definition = "gnn_block"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        dropout: float = 0.3,
        with_skip: bool = True,
        gnn_layer_type: Any = GCNConv,
        gnn_layer_args: Sequence[Any] | None = None,
        gnn_layer_kwargs: Mapping[str, Any] | None = None,
        normalizer_type: Any = nn.Identity,
        norm_args: Sequence[Any] | None = None,
        norm_kwargs: Mapping[str, Any] | None = None,
        activation_type: Any = nn.ReLU,
        activation_args: Sequence[Any] | None = None,
        activation_kwargs: Mapping[str, Any] | None = None,
        skip_args: Sequence[Any] | None = None,
        skip_kwargs: Mapping[str, Any] | None = None,
    ):
        super().__init__(locals())
        self.conv = construct(
            gnn_layer_type,
            gnn_layer_args,
            gnn_layer_kwargs,
            leading=(in_dim, out_dim),
            name="gnn_layer",
        )
        self.normalizer = construct(
            normalizer_type or nn.Identity,
            norm_args,
            norm_kwargs,
            name="norm",
            type_key="normalizer_type",
        )
        self.activation = construct(
            activation_type or nn.ReLU, activation_args, activation_kwargs, name="activation"
        )
        self.skip: nn.Module | None = None
        if with_skip:
            sizes = skip_args or (in_dim, out_dim)
            self.skip = construct(
                SkipConnection, sizes, skip_kwargs, name="skip", type_key="skip_args"
            )
        self.dropout = nn.Dropout(dropout)
        self._conv_wiring = wire(self.conv, ("x", "edge_index", "batch"))
        self._norm_wiring = wire(self.normalizer, ("x", "batch"))

    def forward(
        self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None, **layer_inputs: Any
    ) -> Tensor:
        """``x`` float ``[N, in_dim]``, ``edge_index`` int64 ``[2, E]`` → ``[N, out_dim]``.

        ``batch`` int64 ``[N]`` is the graph of each node; ``layer_inputs`` are further inputs
        of the graph layer by name, such as ``edge_weight``.
        """
        values = {"x": x, "edge_index": edge_index, "batch": batch}
        out = self._conv_wiring.call(self.conv, values, **layer_inputs)
        out = self._norm_wiring.call(self.normalizer, {"x": out, "batch": batch})
        out = self.activation(out)
        if self.skip is not None:
            out = self.skip(x, out)
        return self.dropout(out)

    def forward_parameters(self) -> list[inspect.Parameter]:
        """The inputs of the block's layers."""
        uses_batch = any(
            "batch" in (*wiring.positional, *wiring.named.values())
            for wiring in (self._conv_wiring, self._norm_wiring)
        )
        required = ["x", "edge_index", *self._conv_wiring.open]
        return named_parameters(required, ["batch"] if uses_batch else [])

    def child_keys(self) -> dict[str, tuple[str, str]]:
        """Config keys of the submodules."""
        return {
            "conv": ("in_dim", "gnn_layer_kwargs"),
            "normalizer": ("norm_args", "norm_kwargs"),
            "activation": ("activation_type", "activation_kwargs"),
            "skip": ("skip_args", "skip_args"),
        }
