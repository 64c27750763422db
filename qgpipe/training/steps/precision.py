"""The floating-point type of a training pass, with the loss scaling that it needs."""

import copy
from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from qgpipe.errors import TrainingError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SMALLEST_SCALE = 1.0


class Precision:
    """Computes the model in ``fp32``, or in ``bf16`` or ``fp16`` with autocast.

    Weights, losses and the optimizer are always fp32. Because small gradients vanish in fp16,
    losses are scaled up before the backward pass, and gradients down after it; a step whose
    gradients overflow is skipped, and the scale is halved.
    """

    def __init__(self, name: str, device: torch.device):
        """``name`` is ``fp32``, ``bf16`` or ``fp16``."""
        self._dtype = _DTYPES[name]
        self._device = device.type
        self._scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    @property
    def leaves_out_overflows(self) -> bool:
        """Whether steps with gradients that are not finite are skipped."""
        return self._scaler.is_enabled()

    def autocast(self) -> torch.autocast:
        """The autocast context in which the model is called."""
        mixed = self._dtype is not torch.float32
        return torch.autocast(self._device, self._dtype if mixed else None, enabled=mixed)

    def in_full(self, outputs: Any) -> Any:
        """``outputs`` for the loss, with bf16 and fp16 tensors converted to float32.

        Also in mappings, lists and tuples, whose types are kept.
        """
        return outputs if self._dtype is torch.float32 else _float32(outputs)

    def scaled(self, loss: Tensor) -> Tensor:
        """The scaled loss for the backward pass."""
        return self._scaler.scale(loss)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Unscale the gradients of ``optimizer``."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the step of ``optimizer``, unless its gradients overflow.

        Raises ``TrainingError`` if they still overflow at the smallest scale.
        """
        self._scaler.step(optimizer)
        self._scaler.update()
        if self._scaler.get_scale() < _SMALLEST_SCALE:
            raise TrainingError(
                "gradients overflow fp16 again and again",
                remedy="set training.precision to bf16 or fp32, or lower the learning rate",
            )

    def state_dict(self) -> dict[str, Any]:
        """The loss scale and the number of steps with it; empty without loss scaling."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self._scaler.load_state_dict(dict(state))


def _float32(value: Any) -> Any:
    """``value`` with bf16 and fp16 tensors converted to float32; types of containers are kept."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, MutableMapping):
        replaced = copy.copy(value)
        replaced.update({key: _float32(item) for key, item in value.items()})
        return replaced
    if isinstance(value, list | tuple):
        items = map(_float32, value)
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value
