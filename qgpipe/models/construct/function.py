"""A function as a module, so that it can be used in place of a layer."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any

from torch import nn

from qgpipe.models.construct.bind_arguments import callable_parameters

# Number of inputs that precede a function's own arguments: x, and batch or edge_index.
MOST_TENSORS = 2


class Function(nn.Module):
    """``function(*inputs, *args, **kwargs)``: ``args`` follow the inputs of the call."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.function = function
        self.args = tuple(args)
        self.kwargs = dict(kwargs or {})

    @property
    def name(self) -> str:
        """Name of the function."""
        return getattr(self.function, "__name__", repr(self.function))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Call the function."""
        return self.function(*inputs, *self.args, **self.kwargs, **named)

    def forward_parameters(self) -> list[Parameter] | None:
        """The function's parameters that are not set by ``args`` and ``kwargs``."""
        parameters = callable_parameters(self.function)
        if parameters is None:
            return None
        names = [p.name for p in parameters]
        reached = min((names.index(name) for name in self.kwargs if name in names), default=None)
        positional = [p for p in parameters[:reached] if p.kind is not Parameter.KEYWORD_ONLY]
        if self.args:
            return positional[: max(1, min(MOST_TENSORS, len(positional) - len(self.args)))]
        # Parameters after one that is set by keyword cannot be given by position.
        rest = [p for p in parameters[len(positional) :] if p.name not in self.kwargs]
        return [*positional, *(p.replace(kind=Parameter.KEYWORD_ONLY) for p in rest)]

    def extra_repr(self) -> str:
        """The call as it is written."""
        given = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.kwargs.items())]
        return f"{self.name}({', '.join(['...', *given])})"
