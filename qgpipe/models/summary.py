"""A table of the layers of a model."""

from typing import NamedTuple

from torch import nn
from torch.nn.parameter import is_lazy

from qgpipe.models.construct.configurable import Configurable
from qgpipe.models.construct.function import Function

_CONTAINERS = (Configurable, nn.ModuleList, nn.ModuleDict, nn.Sequential)


class Row(NamedTuple):
    """A layer: its name in the ``state_dict``, its type, its number of trainable parameters."""

    name: str
    type: str
    parameters: int


def summarise(model: nn.Module) -> list[Row]:
    """The layers of a model in the order of its modules.

    Containers are replaced by their children, with a row for parameters of the container itself;
    modules of PyG and of the user are single rows. Lazy parameters without a size count as 0.
    """
    rows: list[Row] = []
    _collect(model, "", rows)
    return rows


def _collect(module: nn.Module, name: str, rows: list[Row]) -> None:
    children = list(module.named_children())
    if not (isinstance(module, _CONTAINERS) or not name) or not children:
        rows.append(Row(name or "model", _type_name(module), _count(module)))
        return
    if own := _count(module, recurse=False):
        rows.append(Row(name or "model", _type_name(module), own))
    for child_name, child in children:
        _collect(child, f"{name}.{child_name}" if name else child_name, rows)


def _type_name(module: nn.Module) -> str:
    return module.name if isinstance(module, Function) else type(module).__name__


def _count(module: nn.Module, recurse: bool = True) -> int:
    return sum(p.numel() for p in module.parameters(recurse) if p.requires_grad and not is_lazy(p))
