"""Small copies from the host to a device."""

import numpy as np
import torch
from torch import Tensor


def sent_to(device: torch.device, numbers: np.ndarray) -> Tensor:
    """``numbers`` on ``device``, a copy for which nothing has to wait.

    To a GPU from page-locked memory: from any other, CUDA may wait for all that was begun.
    """
    tensor = torch.from_numpy(numbers)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
