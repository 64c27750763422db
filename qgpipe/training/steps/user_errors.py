"""Explains errors in a training pass, with remedies."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from qgpipe.errors import OutOfMemoryError, TrainingError

SMALLER_BATCHES = (
    "make training.batch_size smaller and training.accumulate_steps larger by the same factor, "
    "or set training.precision to bf16"
)

_NO_MEMORY = "can't allocate memory"

_PHRASES = {
    "device-side assert": (
        "an index is out of range on the GPU, most likely a class label",
        "see that the last layer has an output for each class; "
        "training.device: cpu names the label",
    ),
    _NO_MEMORY: ("this machine has not enough memory", SMALLER_BATCHES),
    "not implemented for 'Half'": (
        "a layer cannot compute in fp16 here",
        "set training.precision to bf16 or fp32",
    ),
    "not implemented for 'BFloat16'": (
        "a layer cannot compute in bf16 here",
        "set training.precision to fp32",
    ),
    "Expected to have finished reduction": (
        "some weights of the model get no gradient in a step",
        "set parallel.find_unused_parameters to true",
    ),
    "does not have a deterministic implementation": (
        "a layer has no deterministic algorithm on this device",
        "set training.deterministic to false, or take another layer",
    ),
}


def explained(error: Exception, where: str) -> Exception:
    """``error`` as one that says where it occurred, if users can fix it, else unchanged."""
    if isinstance(error, TrainingError):
        error.where = error.where or where
        return error
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return OutOfMemoryError(
            "there is not enough memory on the device", where=where, remedy=SMALLER_BATCHES
        )
    text = " ".join(str(error).split())
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return TrainingError(
            f"torch.compile fails: {text[:300]}",
            where=where,
            remedy="set training.compile to false",
        )
    for phrase, (problem, remedy) in _PHRASES.items():
        if phrase in text:
            kind = OutOfMemoryError if phrase == _NO_MEMORY else TrainingError
            return kind(f"{problem} ({text[:200]})", where=where, remedy=remedy)
    return error


@contextmanager
def memory_for(batch: Any, device: torch.device, remedy: str = SMALLER_BATCHES) -> Iterator[None]:
    """A block that works on ``batch``; ``OutOfMemoryError`` with its size if memory runs out."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        lacking = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not lacking and _NO_MEMORY not in str(error):
            raise
        raise OutOfMemoryError(
            f"a batch of {_extent(batch)} does not fit into the memory of {device}", remedy=remedy
        ) from None


def _extent(batch: Any) -> str:
    """Numbers of graphs, nodes and edges of a batch, if it has them."""
    counts = {what: getattr(batch, f"num_{what}", None) for what in ("graphs", "nodes", "edges")}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count is not None)


def remedy_for(text: str) -> str | None:
    """The remedy for an error of torch with this ``text``, if known."""
    return next((remedy for phrase, (_, remedy) in _PHRASES.items() if phrase in text), None)
