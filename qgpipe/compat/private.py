"""Private names of torch, PyG and Optuna, for which they offer no public ones."""

from typing import Any

_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_propagate_forward_pre_hooks", "_propagate_forward_hooks", "_message_forward_pre_hooks",
    "_message_forward_hooks", "_aggregate_forward_pre_hooks", "_aggregate_forward_hooks",
)  # fmt: skip


def has_hooks(layer: Any) -> bool:
    """Whether hooks or an explainer are registered on a PyG ``MessagePassing``."""
    return any(getattr(layer, name) for name in _HOOKS)


def compiled_from(module: Any) -> Any:
    """The module that ``torch.compile`` compiled to ``module``; None if it was not compiled."""
    return getattr(module, "_orig_mod", None)


def not_compiled(function: Any) -> Any:
    """``function`` under ``torch.compiler.disable``, which loads ``torch._dynamo`` at once."""
    import torch

    return torch._disable_dynamo(function)


def version_of(tensor: Any) -> int:
    """The version counter of ``tensor``, which every in-place operation increments."""
    return tensor._version


def edge_slices(batch: Any) -> Any:
    """Where the edges of each graph of a PyG batch begin: int64 [B+1]."""
    return batch._slice_dict["edge_index"]


def trial_id(trial: Any) -> int:
    """The id of ``trial`` in Optuna's storage."""
    return trial._trial_id
