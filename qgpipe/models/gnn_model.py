"""The native model: encoder, pooling or latent model, graph features, heads."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from qgpipe.errors import ConfigError
from qgpipe.models.construct.bind_arguments import (
    BATCH_SIZE,
    POOLING_NAMES,
    POOLING_VALUES,
    Wiring,
    named_parameters,
    wire,
)
from qgpipe.models.construct.build_module import build_module, construct, under
from qgpipe.models.construct.concat import build_join
from qgpipe.models.construct.configurable import Configurable

_NODE_VALUES = ("x", "edge_index", "batch", "num_graphs")


class GNNModel(Configurable):
    """Encoder → poolings, or a latent model → (with graph features) → a head for each task.

    - The encoder gets ``x``, and ``edge_index``, ``batch`` and ``num_graphs`` if it takes them.
    - Each pooling maps node features ``[N, F]`` to ``[B, F']``; several results are joined by
      ``build_join``, by default concatenated. A latent model replaces pooling. With neither, the
      heads get the output of the encoder.
    - The output of ``graph_features_net`` for the graph features is joined in the same way.
    - ``active_tasks`` switches heads: ``{index: true | false}`` (other heads stay on), or the list
      of the heads that are computed.

    The keys are those of the ``model`` section. Raises ``ConfigError`` for a part that cannot be
    constructed and for incompatible parts.
    """

    definition = "gnn_model"

    def __init__(
        self,
        encoder_type: Any,
        downstream_tasks: Sequence[Any],
        encoder_args: Sequence[Any] | None = None,
        encoder_kwargs: Mapping[str, Any] | None = None,
        pooling_layers: Sequence[Any] | None = None,
        aggregate_pooling_type: Any = None,
        aggregate_pooling_args: Sequence[Any] | None = None,
        aggregate_pooling_kwargs: Mapping[str, Any] | None = None,
        latent_model_type: Any = None,
        latent_model_args: Sequence[Any] | None = None,
        latent_model_kwargs: Mapping[str, Any] | None = None,
        graph_features_net_type: Any = None,
        graph_features_net_args: Sequence[Any] | None = None,
        graph_features_net_kwargs: Mapping[str, Any] | None = None,
        aggregate_graph_features_type: Any = None,
        aggregate_graph_features_args: Sequence[Any] | None = None,
        aggregate_graph_features_kwargs: Mapping[str, Any] | None = None,
        active_tasks: Mapping[Any, bool] | Sequence[int] | None = None,
    ):
        super().__init__(locals())
        self._check_parts()
        self.encoder = self._build("encoder")
        self._encoder_wiring = wire(self.encoder, _NODE_VALUES, BATCH_SIZE)
        self.pooling_layers = _build_each("pooling_layers", pooling_layers or ())
        self._pooling_wirings = _wire_poolings(self.pooling_layers)
        self.aggregate_pooling = self._build_join("aggregate_pooling") if pooling_layers else None
        self.latent_model: nn.Module | None = None
        if latent_model_type is not None:
            self.latent_model = self._build("latent_model")
            self._latent_wiring = wire(self.latent_model, _NODE_VALUES, BATCH_SIZE)
        self.graph_features_net: nn.Module | None = None
        self.aggregate_graph_features: nn.Module | None = None
        if graph_features_net_type is not None:
            self.graph_features_net = self._build("graph_features_net")
            self.aggregate_graph_features = self._build_join("aggregate_graph_features")
        self.downstream_tasks = _build_each("downstream_tasks", downstream_tasks)
        self.active_tasks = _active_tasks(active_tasks, len(downstream_tasks))

    def _spec(self, name: str) -> tuple[Any, Any, Any]:
        return tuple(self._arguments[f"{name}_{part}"] for part in ("type", "args", "kwargs"))

    def _build(self, name: str) -> nn.Module:
        return construct(*self._spec(name), name=name)

    def _build_join(self, name: str) -> nn.Module:
        return build_join(*self._spec(name), name=name)

    def _check_parts(self) -> None:
        given = {name for name, value in self._arguments.items() if value is not None}
        if {"latent_model_type", "pooling_layers"} <= given:
            raise ConfigError(
                "stands instead of pooling_layers, which are given too",
                key="latent_model_type",
                remedy="remove one of the two",
            )
        for join, needed in (
            ("aggregate_pooling_type", "pooling_layers"),
            ("aggregate_graph_features_type", "graph_features_net_type"),
        ):
            if join in given and needed not in given:
                raise ConfigError(
                    f"joins the result of {needed}, which is not given",
                    key=join,
                    remedy=f"give {needed}, or remove it",
                )

    def get_embeddings(
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        num_graphs: int | None = None,
        **encoder_inputs: Any,
    ) -> Tensor:
        """The pooled vector of each graph ``[B, F]``, before graph features are joined.

        Arguments as in ``forward``. Without pooling: the output of the encoder or latent model.
        """
        values = {"x": x, "edge_index": edge_index, "batch": batch, "num_graphs": num_graphs}
        nodes = self._encoder_wiring.call(self.encoder, values, **encoder_inputs)
        values["x"] = nodes
        if self.latent_model is not None:
            return self._latent_wiring.call(self.latent_model, values)
        if self.aggregate_pooling is None:
            return nodes
        pooled = [
            wiring.call(pooling, values)
            for wiring, pooling in zip(self._pooling_wirings, self.pooling_layers, strict=True)
        ]
        return self.aggregate_pooling(pooled)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        graph_features: Tensor | None = None,
        num_graphs: int | None = None,
        **encoder_inputs: Any,
    ) -> dict[int, Tensor]:
        """``{task: output}`` of the active heads.

        ``x`` float ``[N, F]``; ``edge_index`` int64 ``[2, E]``; ``batch`` int64 ``[N]``, the
        graph of each node (``None``: one graph); ``graph_features`` float ``[B, G]``;
        ``num_graphs`` is ``B``, if known; ``encoder_inputs`` are further inputs of the encoder
        by name, such as ``edge_attr``.

        Raises ``ConfigError`` if there are graph features and no net for them, or the reverse.
        """
        embeddings = self.get_embeddings(x, edge_index, batch, num_graphs, **encoder_inputs)
        if graph_features is not None and self.graph_features_net is None:
            raise ConfigError(
                "graph features were given, but the model has no net for them",
                key="graph_features_net_type",
                remedy="give a net (torch.nn.Identity passes them on unchanged), or do not pass "
                "them",
            )
        if self.graph_features_net is not None and self.aggregate_graph_features is not None:
            if graph_features is None:
                raise ConfigError(
                    "the model has a net for graph features, but the data has no graph_features",
                    key="graph_features_net_type",
                    remedy="let the reader put graph_features [1, G] on each Data, or remove the "
                    "net",
                )
            features = self.graph_features_net(graph_features)
            embeddings = self.aggregate_graph_features([embeddings, features])
        return {
            task: head(embeddings)
            for task, head in enumerate(self.downstream_tasks)
            if self.active_tasks[task]
        }

    def set_task_active(self, task: int, active: bool = True) -> None:
        """Switch a head on or off. Raises ``ConfigError`` if there is no such head."""
        self.active_tasks = _active_tasks(
            {**self.active_tasks, task: active}, len(self.downstream_tasks)
        )

    def set_task_inactive(self, task: int) -> None:
        """Switch a head off. Raises ``ConfigError`` if there is no such head, or no other is on."""
        self.set_task_active(task, False)

    def to_config(self) -> dict[str, Any]:
        """The ``model`` section of this model, with the current ``active_tasks``."""
        return {**super().to_config(), "active_tasks": dict(self.active_tasks)}

    def forward_parameters(self) -> list[inspect.Parameter]:
        """Required and optional attributes of a batch."""
        extra = self._encoder_wiring.open
        features = [] if self.graph_features_net is None else ["graph_features"]
        return named_parameters(["x", "edge_index", *extra], ["batch", *features, "num_graphs"])

    def child_keys(self) -> dict[str, tuple[str, str]]:
        """Config keys of the model's parts."""
        parts = [name.removesuffix("_type") for name in self._arguments if name.endswith("_type")]
        keys = {part: (f"{part}_type", f"{part}_kwargs") for part in parts}
        for name in ("pooling_layers", "downstream_tasks"):
            for i, _ in enumerate(self._arguments[name] or ()):
                keys[f"{name}.{i}"] = (f"{name}[{i}]", f"{name}[{i}].kwargs")
        return keys


def _build_each(name: str, specs: Sequence[Any]) -> nn.ModuleList:
    modules = nn.ModuleList()
    for i, spec in enumerate(specs):
        with under(f"{name}[{i}]"):
            modules.append(build_module(spec))
    return modules


def _wire_poolings(poolings: nn.ModuleList) -> list[Wiring]:
    wirings = [wire(pooling, POOLING_VALUES, POOLING_NAMES) for pooling in poolings]
    for i, wiring in enumerate(wirings):
        if wiring.open:
            raise ConfigError(
                f"'{wiring.open[0]}' of the pooling is not set; it gets node features and batch",
                key=f"pooling_layers[{i}]",
                remedy=f"give '{wiring.open[0]}' in its kwargs",
            )
    return wirings


def _active_tasks(given: Mapping[Any, bool] | Sequence[int] | None, heads: int) -> dict[int, bool]:
    """``{index: on}`` for every head. Keys may be strings, as in JSON."""
    if given is None:
        return dict.fromkeys(range(heads), True)
    chosen = given if isinstance(given, Mapping) else dict.fromkeys(given, True)
    default = isinstance(given, Mapping)
    tasks = dict.fromkeys(range(heads), default)
    for name, on in chosen.items():
        index = int(name) if isinstance(name, str) and name.isdigit() else name
        if isinstance(index, bool) or index not in tasks or not isinstance(on, bool):
            raise ConfigError(
                f"{name!r}{f': {on!r}' if default else ''} switches none of the {heads} heads",
                key="active_tasks",
                remedy="write {0: true, 1: false}, or a list of indices that start at 0",
            )
        tasks[index] = on
    if not any(tasks.values()):
        raise ConfigError("no head is on", key="active_tasks", remedy="switch at least one on")
    return tasks
