"""The model of encoder, poolings and heads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from qgpipe.compat.quantumgrav.base import AsThere, ConfigurationError, errors_as_there
from qgpipe.models import gnn_model
from qgpipe.models.construct.build_module import construct
from qgpipe.models.construct.function import Function as ModuleWrapper

__all__ = ["GNNModel", "ModuleWrapper", "instantiate_type"]


def instantiate_type(
    kind: Any, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> Any:
    """The module that a type, module or function stands for; see ``qgpipe.models``."""
    with errors_as_there():
        return construct(kind, args, kwargs)


class GNNModel(AsThere, gnn_model.GNNModel):
    """``qgpipe.GNNModel`` with further arguments of ``forward``, and files of bare weights."""

    definition = "gnn_model"

    def __init__(
        self, encoder_type: Any, downstream_tasks: Sequence[Any], *args: Any, **kwargs: Any
    ):
        """As ``qgpipe.GNNModel``. Raises ``ConfigurationError`` as that raises ``ConfigError``."""
        switches = kwargs.get("active_tasks") or {}
        if len(downstream_tasks) == 0:
            raise ConfigurationError("a model needs a head", key="downstream_tasks")
        if isinstance(switches, Mapping) and switches and len(switches) != len(downstream_tasks):
            raise ConfigurationError("it has to name every head", key="active_tasks")
        super().__init__(encoder_type, downstream_tasks, *args, **kwargs)
        self.downstream_task_specs, self.pooling_layer_specs = (
            self._arguments[name] for name in ("downstream_tasks", "pooling_layers")
        )

    @property
    def with_pooling(self) -> bool:
        """Whether nodes are pooled."""
        return self.aggregate_pooling is not None

    @property
    def with_latent(self) -> bool:
        """Whether there is a latent model in place of pooling."""
        return self.latent_model is not None

    def get_embeddings(  # type: ignore[override]
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        gcn_kwargs: Mapping[str, Any] | None = None,
        latent_args: Sequence[Any] | None = None,
        latent_kwargs: Mapping[str, Any] | None = None,
        num_graphs: int | None = None,
    ) -> Tensor:
        """As in ``qgpipe.GNNModel``; further arguments are those of encoder and latent model."""
        encoder_kwargs = dict(gcn_kwargs or {})
        if self.latent_model is None or not (latent_args or latent_kwargs):
            return super().get_embeddings(x, edge_index, batch, num_graphs, **encoder_kwargs)
        values = {"x": x, "edge_index": edge_index, "batch": batch, "num_graphs": num_graphs}
        nodes = self._encoder_wiring.call(self.encoder, values, **encoder_kwargs)
        return self.latent_model(nodes, *(latent_args or ()), **(latent_kwargs or {}))

    def compute_downstream_tasks(
        self,
        x: Tensor,
        args: Sequence[Sequence[Any]] | None = None,
        kwargs: Sequence[Mapping[str, Any]] | None = None,
    ) -> dict[int, Any]:
        """``{task: output}`` of the active heads for ``x`` ``[B, F]``, with arguments by head."""
        return {
            task: head(x, *(args[task] if args else ()), **(kwargs[task] if kwargs else {}))
            for task, head in enumerate(self.downstream_tasks)
            if self.active_tasks[task]
        }

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        graph_features: Tensor | None = None,
        latent_args: Sequence[Any] | None = None,
        latent_kwargs: Mapping[str, Any] | None = None,
        downstream_task_args: Sequence[Sequence[Any]] | None = None,
        downstream_task_kwargs: Sequence[Mapping[str, Any]] | None = None,
        embedding_kwargs: Mapping[str, Any] | None = None,
        num_graphs: int | None = None,
        **encoder_inputs: Any,
    ) -> dict[int, Any]:
        """``{task: output}`` of the active heads; see ``qgpipe.GNNModel``.

        Without ``graph_features`` their net is not used. The arguments that QuantumGravPy adds go
        to the latent model, to each head, and to the encoder.
        """
        inner = {**encoder_inputs, **(embedding_kwargs or {})}
        vectors = self.get_embeddings(
            x, edge_index, batch, inner, latent_args, latent_kwargs, num_graphs
        )
        if graph_features is not None and self.graph_features_net is not None:
            assert self.aggregate_graph_features is not None
            features = self.graph_features_net(graph_features)
            vectors = self.aggregate_graph_features([vectors, features])
        return self.compute_downstream_tasks(vectors, downstream_task_args, downstream_task_kwargs)

    def set_task_active(self, task: int, active: bool = True) -> None:
        """Switch a head on, or off. Raises ``KeyError`` if there is no such head."""
        if task not in self.active_tasks:
            raise KeyError(f"there is no head {task}")
        self.active_tasks[task] = active

    def save(self, path: str | Path) -> None:
        """Write the weights alone."""
        torch.save(self.state_dict(), path)

    @classmethod
    def load(  # type: ignore[override]
        cls,
        path: str | Path,
        config: Mapping[str, Any] | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        device: str | torch.device = "cpu",
    ) -> Self:
        """A model of ``config``, or of ``args`` and ``kwargs``, with the weights in ``path``."""
        built = cls.from_config(config) if config is not None else cls(*args or (), **kwargs or {})
        built.load_state_dict(torch.load(path, map_location=device, weights_only=True))
        return built.to(device)
