"""Sizes of layers that are left to the data: ``null`` in a configuration.

Such a size cannot be built. :func:`qgpipe.models.sizes.fill_sizes` puts a :class:`Probe` in its
place, calls the model once, and learns from the probe how many features come there.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from qgpipe.errors import ConfigError

INPUTS = {"in_channels", "in_features", "in_dim", "num_features", "normalized_shape", "input_size"}
OUTPUTS = {"out_channels", "out_features", "out_dim", "num_classes"}


class OpenSize(ConfigError):
    """A size is ``null``, at ``key``; ``is_output``: the number of outputs, not of inputs."""

    def __init__(self, key: str, is_output: bool):
        super().__init__(
            "the size is left to the data, which is not known here",
            key=key,
            remedy="write the number",
        )
        self.is_output = is_output


class Probe(int):
    """Stands for a number of inputs that is not known yet; ``found`` once its module is called."""

    found: int | None = None


class Found(ConfigError):
    """Ends the call of a model in which a probe has been answered."""


def require_sizes(
    kind: type, leading: int, args: Sequence[Any], kwargs: Mapping[str, Any], keys: tuple[str, str]
) -> None:
    """Raise ``OpenSize`` for the first required size of ``kind`` that is given as ``None``.

    ``leading``: number of arguments before ``args``; ``keys``: those of ``args`` and ``kwargs``.
    """
    if None not in args and None not in kwargs.values():
        return
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return
    names = list(parameters)[leading:]
    given = [(name, f"{keys[0]}[{i}]", args[i]) for i, name in enumerate(names[: len(args)])]
    given += [(name, f"{keys[1]}.{name}", value) for name, value in kwargs.items()]
    for name, key, value in given:
        is_size = name in INPUTS | OUTPUTS and name in parameters
        if value is None and is_size and parameters[name].default is inspect.Parameter.empty:
            raise OpenSize(key, name in OUTPUTS)


def answer_probes(module: nn.Module, *arguments: Any) -> None:
    """Let the first call of ``module`` answer a ``Probe`` among its ``arguments``."""
    probe = next((value for value in arguments if isinstance(value, Probe)), None)
    if probe is None:
        return

    def answer(_module: nn.Module, args: tuple, kwargs: dict) -> None:
        tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        features = next((t for t in tensors if t.is_floating_point() and t.dim() > 1), None)
        if features is not None:
            probe.found = features.size(-1)
            raise Found("found")

    module.register_forward_pre_hook(answer, with_kwargs=True)
