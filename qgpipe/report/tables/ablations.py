"""A model beside its ablations: the file of the stage ``ablate``, in words and rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgpipe.report.tables.baselines import interval
from qgpipe.report.tables.result_files import rerun
from qgpipe.system.files import sha256
from qgpipe.system.json_shapes import read_shaped

_NUMBER = (float, None)
_SCORE = {"value": float, "low": float, "high": float}
ABLATIONS = {
    "run": str,
    "predictions": str,
    "runs": {str: str},
    "loss": {str: _NUMBER},
    "metrics": {str: {str: _NUMBER}},
    "targets": [
        {
            "name": str,
            "measure": str,
            "better": {"min", "max"},
            "num_graphs": int,
            "test": str,
            "model": (None, _SCORE),
            "ablations": {
                str: {
                    **_SCORE,
                    "difference": float,
                    "difference_low": float,
                    "difference_high": float,
                    "p": float,
                    "is": {"better", "worse", "not different"},
                }
            },
        }
    ],
}
TITLES = {
    "model": "model",
    "no_edges": "without edges",
    "reversed_edges": "edges reversed",
    "no_node_features": "without features of elements",
    "no_graph_features": "without features of causal sets",
}

Content = Mapping[str, Any]


def read_ablations(file: Path, predictions: Path | None = None) -> dict[str, Any] | None:
    """An ``ablations.json``; None if there is none, or it is about other ``predictions``.

    Raises ``DataError`` if it is damaged.
    """
    if predictions is not None and not (file.exists() and predictions.exists()):
        return None
    content = read_shaped(file, ABLATIONS, rerun("ablate"))
    same = predictions is None or content["predictions"] == sha256(predictions)
    return content if same else None


def ablation_rows(ablations: Content) -> list[tuple[str, ...]]:
    """The model and its ablations with their scores, as rows of text, for each target."""
    rows: list[tuple[str, ...]] = []
    for target in ablations["targets"]:
        if target["model"] is None:
            continue
        name = f" of {target['name']}" if len(ablations["targets"]) > 1 else ""
        rows.append((f"{target['measure']}{name}", "", "difference", "p"))
        rows.append((TITLES["model"], interval(target["model"]), "", ""))
        rows += [
            (
                TITLES.get(kind, kind),
                interval(score),
                f"{score['difference']:+.3g}, {score['difference_low']:+.3g} to "
                f"{score['difference_high']:+.3g}",
                f"{score['p']:.2g}",
            )
            for kind, score in target["ablations"].items()
        ]
    return rows
