"""Linear layers with activations: heads, and networks over graph features."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn import Linear

from qgpipe.config.spec import as_spec
from qgpipe.errors import ConfigError
from qgpipe.models.construct.build_module import construct, under
from qgpipe.models.construct.configurable import Configurable
from qgpipe.models.construct.open_sizes import OpenSize, Probe


class LinearSequential(Configurable):
    """Linear layers, each followed by its activation.

    ``dims``: ``[in, out]`` of each layer, where null leaves a size to the data; ``activations``: a
    spec for each, ``torch.nn.Identity`` for none; ``linear_kwargs`` and ``activation_kwargs``:
    optional keyword arguments for each.
    Raises ``ConfigError`` if the lists differ in length, or the sizes of consecutive layers do not
    match.
    """

    definition = "linear_sequential"

    def __init__(
        self,
        dims: Sequence[Sequence[int]],
        activations: Sequence[Any],
        linear_kwargs: Sequence[Mapping[str, Any] | None] | None = None,
        activation_kwargs: Sequence[Mapping[str, Any] | None] | None = None,
    ):
        super().__init__(locals())
        _require_sizes(dims)
        _check_chain(dims)
        for name in ("activations", "linear_kwargs", "activation_kwargs"):
            _check_length(name, self._arguments[name], len(dims))
        self.layers = nn.ModuleList()
        for i, (sizes, activation) in enumerate(zip(dims, activations, strict=True)):
            with under(f"dims[{i}]"):
                options = linear_kwargs[i] if linear_kwargs else None
                self.layers.append(construct(Linear, sizes, options))
            with under(f"activations[{i}]"):
                spec = as_spec(activation)
                options = (activation_kwargs[i] if activation_kwargs else None) or {}
                self.layers.append(construct(spec.type, spec.args, {**spec.kwargs, **options}))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` float ``[..., dims[0][0]]`` → ``[..., dims[-1][1]]``."""
        for layer in self.layers:
            x = layer(x)
        return x

    def child_keys(self) -> dict[str, tuple[str, str]]:
        """Config keys of the layers and activations."""
        keys: dict[str, tuple[str, str]] = {}
        for i in range(len(self.layers) // 2):
            keys[f"layers.{2 * i}"] = (f"dims[{i}]",) * 2
            keys[f"layers.{2 * i + 1}"] = (f"activations[{i}]",) * 2
        return keys


def _require_sizes(dims: Sequence[Sequence[int]]) -> None:
    for i, sizes in enumerate(dims):
        for j, size in enumerate(sizes):
            if size is None:
                raise OpenSize(f"dims[{i}][{j}]", is_output=bool(j))


def _check_chain(dims: Sequence[Sequence[int]]) -> None:
    for i in range(1, len(dims)):
        if dims[i][0] != dims[i - 1][1] and not isinstance(dims[i][0], Probe):
            raise ConfigError(
                f"takes {dims[i][0]} features, but layer {i - 1} gives {dims[i - 1][1]}",
                key=f"dims[{i}]",
                remedy=f"write [{dims[i - 1][1]}, {dims[i][1]}]",
            )


def _check_length(name: str, values: Sequence[Any] | None, layers: int) -> None:
    if values is not None and len(values) != layers:
        raise ConfigError(
            f"{len(values)} given for {layers} layers",
            key=name,
            remedy="give one for each entry of dims"
            + (", torch.nn.Identity for none" if name == "activations" else ""),
        )
