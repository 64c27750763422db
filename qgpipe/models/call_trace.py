"""Which modules are being called, and with what, when a forward pass fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Call:
    """The call of a module: its name within the model, and its first tensor of real numbers."""

    name: str
    module: nn.Module
    tensor: Tensor | None


@dataclass
class CallTrace:
    """The calls that have begun and not ended, outermost first."""

    calls: list[Call] = field(default_factory=list)

    @contextmanager
    def recorded(self, model: nn.Module) -> Iterator[None]:
        """Follow the calls of ``model`` and of all modules in it."""
        handles = []
        for name, module in model.named_modules():
            begin = self._begin(name)
            handles.append(module.register_forward_pre_hook(begin, with_kwargs=True))
            handles.append(module.register_forward_hook(self._end))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _begin(self, name: str) -> Callable[[nn.Module, tuple, dict], None]:
        def begin(module: nn.Module, args: tuple, kwargs: dict) -> None:
            tensors = (v for v in (*args, *kwargs.values()) if isinstance(v, Tensor))
            first = next((t for t in tensors if t.is_floating_point()), None)
            self.calls.append(Call(name, module, first))

        return begin

    def _end(self, module: nn.Module, *_: Any) -> None:
        # Calls that failed and were caught inside the module have not ended by themselves.
        while self.calls and self.calls.pop().module is not module:
            pass
