"""A graph transformer: message passing, and attention among all nodes of a graph.

Rampášek et al., Recipe for a General, Powerful, Scalable Graph Transformer,
arXiv:2205.12454.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GINConv, GPSConv, global_add_pool
from torch_geometric.nn.attention import PerformerAttention

from qgpipe.compat.private import not_compiled
from qgpipe.config.spec import Spec
from qgpipe.errors import ConfigError
from qgpipe.message_passing.adjacency import Adjacency
from qgpipe.message_passing.layers import gin
from qgpipe.models.construct.bind_arguments import (
    POOLING_NAMES,
    POOLING_VALUES,
    forward_parameters,
    wire,
)
from qgpipe.models.construct.build_module import build_module, construct, under
from qgpipe.models.construct.configurable import Configurable


class GPSTransformer(Configurable):
    """Linear layer, ``num_layers`` times ``GPSConv``, pooling, and an MLP with three layers.

    Each ``GPSConv`` combines a ``GINConv`` (with an MLP of two layers and trainable ε) and
    attention with ``num_heads`` heads, both with ``channels`` features. ``norm`` and ``act`` are
    PyG's names (``batch_norm``, ``relu``) or types; a type of normalisation is constructed with
    ``channels``. ``redraw_interval``: number of training steps between two redraws of the
    performer's random features.

    Raises ``ConfigError`` if ``num_heads`` does not divide ``channels`` or a part cannot be
    constructed.
    """

    definition = "gps_transformer"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        channels: int,
        num_heads: int,
        num_layers: int,
        attn_type: str = "multihead",
        attn_kwargs: Mapping[str, Any] | None = None,
        norm: Any = "batch_norm",
        norm_kwargs: Mapping[str, Any] | None = None,
        act: Any = "relu",
        act_kwargs: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        pooling_layer: Any = global_add_pool,
        redraw_interval: int | None = None,
    ):
        super().__init__(locals())
        if channels % num_heads:
            raise ConfigError(
                f"{num_heads} heads do not divide {channels} channels",
                key="num_heads",
                remedy="choose a divisor of channels",
            )
        self.input = nn.Linear(in_features, channels)
        self.convs = nn.ModuleList(self._layer() for _ in range(num_layers))
        with under("pooling_layer"):
            self.pooling = build_module(pooling_layer)
        self._pooling_wiring = wire(self.pooling, POOLING_VALUES, POOLING_NAMES)
        half, quarter = max(1, channels // 2), max(1, channels // 4)
        self.mlp = nn.Sequential(
            nn.Linear(channels, half),
            nn.ReLU(),
            nn.Linear(half, quarter),
            nn.ReLU(),
            nn.Linear(quarter, out_features),
        )
        self.redraw: _Redraw | None = None
        if redraw_interval is not None and attn_type == "performer":
            self.redraw = _Redraw(redraw_interval)

    def _layer(self) -> GPSConv:
        given = self._arguments
        width = given["channels"]
        local = _LocalConv(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)),
            train_eps=True,
        )
        act, act_kwargs = given["act"], given["act_kwargs"]
        if _names_type(act):
            act, act_kwargs = construct(act, None, act_kwargs, name="act", type_key="act"), None
        norm, norm_kwargs = given["norm"], given["norm_kwargs"]
        options = {
            "heads": given["num_heads"],
            "dropout": given["dropout"],
            "act": act,
            "act_kwargs": dict(act_kwargs or {}),
            "norm": None if _names_type(norm) else norm,
            "norm_kwargs": dict(norm_kwargs or {}),
            "attn_type": given["attn_type"],
            "attn_kwargs": dict(given["attn_kwargs"] or {}),
        }
        layer = Spec(GPSConv, (width, local), options).build()
        if _names_type(norm):
            _set_norms(layer, norm, norm_kwargs, width)
        return layer

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        num_graphs: int | None = None,
    ) -> Tensor:
        """Node features ``x`` float ``[N, in_features]`` → outputs ``[B, out_features]``.

        ``edge_index`` int64 ``[2, E]``; ``batch`` int64 ``[N]`` is the graph of each node
        (``None``: one graph) and ``num_graphs`` is ``B``, if known.
        """
        if self.redraw is not None and self.training:
            self.redraw(self.convs)
        x = self.input(x)
        for conv in self.convs:
            x = conv(x, edge_index, batch)
        values = {"x": x, "batch": batch, "num_graphs": num_graphs}
        return self.mlp(self._pooling_wiring.call(self.pooling, values))

    def child_keys(self) -> dict[str, tuple[str, str]]:
        """Config keys of the submodules."""
        return {
            "input": ("in_features",) * 2,
            "convs": ("channels",) * 2,
            "pooling": ("pooling_layer", "pooling_layer.kwargs"),
            "mlp": ("out_features",) * 2,
        }


class _LocalConv(GINConv):
    """``GINConv`` that also accepts an ``Adjacency`` as ``edge_index``."""

    def forward(
        self, x: Tensor, edge_index: Tensor | Adjacency, size: tuple[int, int] | None = None
    ) -> Tensor:
        if isinstance(edge_index, Adjacency):  # passed on by GPSConv
            return gin(self, x, edge_index)
        return super().forward(x, edge_index, size)


class _Redraw(nn.Module):
    """Counts training steps; in the ``state_dict``, so that resuming does not change redraws."""

    def __init__(self, interval: int):
        super().__init__()
        self.interval = interval
        self.steps = 0

    @not_compiled
    def forward(self, layers: nn.Module) -> None:
        """Count one training step; at the end of each interval redraw all random features."""
        self.steps += 1
        if self.steps % self.interval == 0:
            for module in layers.modules():
                if isinstance(module, PerformerAttention):
                    module.redraw_projection_matrix()

    def get_extra_state(self) -> Tensor:
        """The current number of steps."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Set the number of steps."""
        self.steps = int(state)


def _names_type(value: Any) -> bool:
    """Whether ``value`` is a type or its dotted name, not one of PyG's short names."""
    return value is not None and not (isinstance(value, str) and "." not in value)


def _set_norms(layer: GPSConv, norm: Any, kwargs: Mapping[str, Any] | None, width: int) -> None:
    # GPSConv only takes short names of normalisations, and would share an instance.
    for name in ("norm1", "norm2", "norm3"):
        built = construct(norm, None, kwargs, leading=(width,), name="norm", type_key="norm")
        setattr(layer, name, built)
    names = [parameter.name for parameter in forward_parameters(layer.norm1) or []]
    layer.norm_with_batch = "batch" in names
