"""The device of a configuration, and copies to it."""

import copy
import itertools
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from qgpipe.errors import ConfigError


def resolve_device(name: str | torch.device, key: str = "training.device") -> torch.device:
    """The torch device called ``name``; ``auto`` is CUDA if there is a device, else the CPU.

    A CUDA device gets an index, so that equal devices compare equal. In a process group it is the
    device of this process, even if the name has another index. Raises ``ConfigError`` with ``key``
    if torch knows no such device or this machine has none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(
            f"'{name}' is not a device", key=key, remedy="use auto, cpu, cuda or cuda:1"
        ) from None
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise ConfigError(
            f"'{name}' asks for CUDA, and torch sees no CUDA device here",
            key=key,
            remedy="use auto or cpu",
        )
    index = device.index
    if index is None or dist.is_initialized():  # in a group each process has a device of its own
        index = torch.cuda.current_device()
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"'{name}' is not there, CUDA devices are numbered up to "
            f"{torch.cuda.device_count() - 1}",
            key=key,
        )
    return torch.device("cuda", index)


def on_device(part: Any, device: torch.device) -> Any:
    """``part`` if it is no module or is on ``device`` already, else a copy of it there."""
    if not isinstance(part, torch.nn.Module):
        return part
    tensors = itertools.chain(part.parameters(), part.buffers())
    if all(tensor.device == device for tensor in tensors):
        return part
    return copy.deepcopy(part).to(device)


def sent_to(device: torch.device, numbers: np.ndarray) -> Tensor:
    """A copy of ``numbers`` on ``device``, asynchronous for a GPU.

    It is copied from page-locked memory: from pageable memory, CUDA may synchronise.
    """
    tensor = torch.from_numpy(numbers)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
