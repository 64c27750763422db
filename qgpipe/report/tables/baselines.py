"""The comparison of a run's model with the baselines, as text and rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qgpipe.errors import DataError
from qgpipe.report.tables.result_files import rerun
from qgpipe.system.files import sha256
from qgpipe.system.json_shapes import read_shaped

_SCORE = {"value": (float, None), "low": (float, None), "high": (float, None)}
_COMPARED = {
    **_SCORE,
    "difference": float,
    "difference_low": float,
    "difference_high": float,
    "p": float,
    "model_is": {"better", "worse", "not different"},
}
BASELINES = {
    "run": str,
    "num_graphs": int,
    "num_tested": int,
    "num_train": int,
    "fitted_to": int,
    "features": [str],
    "baselines": {str: str},
    "targets": [
        {
            "name": str,
            "measure": str,
            "better": {"min", "max"},
            "num_graphs": int,
            "test": str,
            "model": (None, _SCORE),
            "baselines": {str: _COMPARED},
            "best": (str, None),
        }
    ],
    "metrics": {
        str: {"better": ({"min", "max"}, None), "model": _SCORE, "baselines": {str: _SCORE}}
    },
    "left_out": [{"baseline": str, "target": (str, None), "reason": str}],
    "predictions": str,
}

Content = Mapping[str, Any]


def read_baselines(file: Path, predictions: Path) -> dict[str, Any] | None:
    """A ``baselines.json``; None if there is none, or if it is for other ``predictions``.

    Raises ``DataError`` if it is damaged.
    """
    if not file.exists() or not predictions.exists():
        return None
    content = read_shaped(file, BASELINES, rerun("compare"))
    for target in content["targets"]:
        best = target["best"]
        if best is not None and (target["model"] is None or best not in target["baselines"]):
            raise DataError(f"{file} is damaged: '{best}' is not compared", remedy=rerun("compare"))
    return content if content["predictions"] == sha256(predictions) else None


def ranked(baselines: Content) -> list[str]:
    """The names of the baselines, ordered by their scores on the first target, the best first."""
    names = list(baselines["baselines"])
    if not baselines["targets"]:
        return names
    first = baselines["targets"][0]
    sign = 1 if first["better"] == "min" else -1
    known = {name: sign * score["value"] for name, score in first["baselines"].items()}
    return sorted(names, key=lambda name: known.get(name, float("inf")))


def metric_by_best(baselines: Content, name: str) -> tuple[str, float] | None:
    """The name of the best baseline on the first target, and its metric ``name``."""
    if name not in baselines["metrics"] or not baselines["targets"]:
        return None
    best = baselines["targets"][0]["best"]
    score = baselines["metrics"][name]["baselines"].get(best)
    return None if score is None or score["value"] is None else (best, score["value"])


def other_metrics(baselines: Content, target: Content) -> dict[str, Content]:
    """The metrics whose values differ from the score of ``target``.

    None if there are several targets: metrics may then belong to another one.
    """
    if len(baselines["targets"]) > 1:
        return {}
    same = {name: score["value"] for name, score in target["baselines"].items()}
    return {
        name: metric
        for name, metric in baselines["metrics"].items()
        if {one: score["value"] for one, score in metric["baselines"].items()} != same
    }


def verdicts(baselines: Content) -> list[str]:
    """The comparison of the model with the best baseline: a sentence for each target."""
    found = []
    several = len(baselines["targets"]) > 1
    for target in baselines["targets"]:
        if target["best"] is None:
            continue
        other = target["baselines"][target["best"]]
        than = "from" if other["model_is"] == "not different" else "than"
        found.append(
            f"{target['measure']}{' of ' + target['name'] if several else ''}: the model "
            f"({interval(target['model'])}) is {other['model_is']} {than} {target['best']} "
            f"({interval(other)}), p = {other['p']:.2g}"
        )
    return found


def interval(score: Content) -> str:
    """A score with its interval: ``0.910, 0.872 to 0.937``."""
    if score["value"] is None:
        return "not finite"
    text = f"{score['value']:.4g}"
    if score["low"] is None or score["high"] is None:
        return text
    return f"{text}, {score['low']:.3g} to {score['high']:.3g}"


def reasons(baselines: Content) -> list[tuple[str, str]]:
    """Names of baselines that were left out (joined) and their common reason."""
    several = len(baselines["targets"]) > 1
    found: dict[str, list[str]] = {}
    for entry in baselines["left_out"]:
        of = f" of {entry['target']}" if several and entry["target"] else ""
        found.setdefault(entry["reason"], []).append(f"{entry['baseline']}{of}")
    return [(", ".join(names), reason) for reason, names in found.items()]


def best_scores(baselines: Content | None) -> dict[str, float]:
    """The score of the best baseline on each target, by column of a table of runs."""
    targets: Sequence[Content] = baselines["targets"] if baselines else []
    return {
        f"baseline_{target['measure'].replace(' ', '_')}"
        + (f"_{target['name']}" if len(targets) > 1 else ""): target["baselines"][target["best"]][
            "value"
        ]
        for target in targets
        if target["best"] is not None
    }
