"""A model as a ``torch.export`` program, which runs without qgpipe and the model's classes."""

from collections.abc import Sequence
from typing import IO, Any

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as _symbolic_shapes

from qgpipe.models.construct.bind_arguments import forward_parameters

_OF_GRAPHS = ("x", "edge_index", "batch", "graph_features", "num_graphs")
_TOLERANCE = 1e-4
_EXAMPLE = (5, 3, 4)  # numbers of nodes
_OTHERS = {1: ((4,), (1,)), 2: ((2, 9, 1, 6), (1, 1))}  # by the minimum number of graphs


class CannotExport(Exception):
    """The model cannot be exported; the text says why, in one line."""


class _Called(nn.Module):
    """``model`` as a function of tensors; its outputs are a tuple, in the order of the heads."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.takes = [p.name for p in forward_parameters(model) or () if p.name in _OF_GRAPHS]

    def forward(self, x: Tensor, edge_index: Tensor, ptr: Tensor, graph_features: Any) -> Any:
        node = torch.arange(x.shape[0], device=x.device)
        values = {
            "x": x,
            "edge_index": edge_index,
            "batch": torch.bucketize(node, ptr[1:], right=True),
            "graph_features": graph_features,
            "num_graphs": ptr.shape[0] - 1,
        }
        given = {name: values[name] for name in self.takes if values[name] is not None}
        outputs = self.model(**given)
        return tuple(outputs.values()) if isinstance(outputs, dict) else (outputs,)


def write_program(
    file: IO[bytes], model: nn.Module, node_features: int, graph_features: int | None
) -> int:
    """Export ``model``, in evaluation mode on the CPU, to ``file``.

    The program takes ``x`` [V, F], ``edge_index`` int64 [2, E], ``ptr`` int64 [B+1] and
    ``graph_features`` [B, G] or None, for any V and E, and returns a tuple with the output of each
    head. Returns the minimum number B of graphs: 1, or 2 with a layer, such as ``GATConv``, that
    torch cannot export for any number.

    Raises ``CannotExport`` if torch cannot export the model, or if the outputs of program and model
    differ for graphs of other sizes.
    """
    called = _Called(model.eval())
    if not {"x", "edge_index"} <= set(called.takes):
        raise CannotExport("its forward does not take x and edge_index")
    widths = node_features, graph_features
    try:
        least, program = 1, _exported(called, widths, any_number=True)
    except CannotExport:
        least, program = 2, _exported(called, widths, any_number=False)
    torch.export.save(program, file)
    return least


def _exported(
    called: _Called, widths: tuple[int, int | None], any_number: bool
) -> torch.export.ExportedProgram:
    """The program for batches of ``any_number`` of graphs, otherwise of at least two.

    Sizes 0 and 1 are special for torch (broadcasting), so by default it exports for sizes of at
    least two. With ``backed_size_oblivious`` it does not, but then cannot export some layers.
    """
    free = torch.export.Dim.DYNAMIC
    shapes = ({0: free}, {1: free}, {0: free}, None if widths[1] is None else {0: free})
    others = _OTHERS[2] + (_OTHERS[1] if any_number else ())
    try:
        oblivious = _symbolic_shapes.patch(backed_size_oblivious=any_number)  # type: ignore[attr-defined]
        with torch.no_grad(), oblivious:
            example = _graphs(_EXAMPLE, *widths)
            program = torch.export.export(called, example, dynamic_shapes=shapes, strict=False)
        run = program.module()
        with torch.no_grad():
            checked = [_graphs(sizes, *widths) for sizes in others]
            pairs = [
                pair
                for graphs in checked
                for pair in zip(run(*graphs), called(*graphs), strict=True)
            ]
    except Exception as error:  # torch raises errors of many kinds
        lines = str(error).strip().splitlines() or [""]
        raise CannotExport(f"{type(error).__name__}: {lines[0]}") from error
    if not all(torch.allclose(a, b, _TOLERANCE, _TOLERANCE, equal_nan=True) for a, b in pairs):
        raise CannotExport("the program gives other values than the model")
    return program


def _graphs(sizes: Sequence[int], features: int, graph_features: int | None) -> tuple[Any, ...]:
    """Chains of ``sizes`` elements: ``x``, ``edge_index``, ``ptr``, ``graph_features``."""
    generator = torch.Generator().manual_seed(0)
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    past = torch.cat([torch.arange(n - 1) + start for n, start in zip(sizes, ptr, strict=False)])
    x = torch.randn(int(ptr[-1]), features, generator=generator)
    graph_x = None
    if graph_features is not None:
        graph_x = torch.randn(len(sizes), graph_features, generator=generator)
    return x, torch.stack([past, past + 1]), ptr, graph_x
