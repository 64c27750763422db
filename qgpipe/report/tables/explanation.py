"""What the answers of a model rest on: the file of the stage ``explain``, in rows and words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qgpipe.report.tables.baselines import interval
from qgpipe.report.tables.result_files import rerun
from qgpipe.system.files import sha256
from qgpipe.system.json_shapes import read_shaped

_NUMBER = (float, None)
_COST = {"mean": _NUMBER, "deviation": _NUMBER}
_SHARES = {str: {"value": _NUMBER, "low": _NUMBER, "high": _NUMBER}}
_PERMUTED = [
    {"level": {"node", "graph"}, "features": [str], "loss": _COST, "scores": [_COST]},
]
EXPLANATION = {
    "run": str,
    "model": str,
    "num_graphs": int,
    "num_tested": int,
    "importances": {
        "repetitions": int,
        "correlation": float,
        "loss": _NUMBER,
        "scores": [{"task": int, "measure": str, "value": _NUMBER}],
        "features": _PERMUTED,
        "correlated": _PERMUTED,
        "all": _PERMUTED,
    },
    "invariants": {
        "fitted_set": str,
        "fitted_to": int,
        "features": [str],
        "heads": [
            {
                "task": int,
                "kind": {"classification", "regression"},
                "methods": _SHARES,
                "outputs": [{"name": str, "methods": _SHARES}],
            }
        ],
        "left_out": (str, None),
    },
}
METHODS = {
    "linear": "linear function of invariants",
    "boosting": "gradient boosting of invariants",
    "linear+two_order": "linear function of invariants and 2-order test",
    "boosting+two_order": "gradient boosting of invariants and 2-order test",
}
_MOST = 5  # features on a screen

Content = Mapping[str, Any]


class Cost(NamedTuple):
    """What permuting ``features`` together costs: a mean over repetitions, and their deviation.

    ``kind``: as in the file. ``group``: the letter of the group of correlated features that they
    are, or are in; else empty.
    """

    features: tuple[str, ...]
    kind: str
    level: str
    group: str
    mean: float | None
    deviation: float | None

    @property
    def name(self) -> str:
        """The features in words."""
        if self.kind == "all":
            return f"all {len(self.features)} {self.level} features"
        return " + ".join(self.features) + (f" ({self.group})" if self.group else "")

    @property
    def short_name(self) -> str:
        """The same in a few words."""
        if self.kind == "correlated":
            return f"the {len(self.features)} correlated features ({self.group})"
        return self.name


def read_explanation(file: Path, model: Path | None = None) -> dict[str, Any] | None:
    """An ``explanation.json``; None if there is none, or it is about another ``model`` than this.

    Raises ``DataError`` if it is damaged.
    """
    if model is not None and not (file.exists() and model.exists()):
        return None
    content = read_shaped(file, EXPLANATION, rerun("explain"))
    return content if model is None or content["model"] == sha256(model) else None


def measures(explanation: Content) -> list[str]:
    """What is measured, in words: the rise of the loss, then what happens to each score."""
    scores = explanation["importances"]["scores"]
    several = len({score["task"] for score in scores}) > 1
    return [
        "rise of the loss",
        *(
            f"{'fall' if score['measure'] == 'accuracy' else 'rise'} of the {score['measure']}"
            + (f" of head {score['task']}" if several else "")
            for score in scores
        ),
    ]


def costs(explanation: Content, kind: str, measure: int = 0) -> list[Cost]:
    """The costs of ``features``, ``correlated`` or ``all``, the largest rise of the loss first."""
    letters = _letters(explanation)
    found = []
    for entry in _sorted(explanation, kind):
        cost, names = [entry["loss"], *entry["scores"]][measure], tuple(entry["features"])
        group = letters.get((entry["level"], names[0]), "")
        found.append(Cost(names, kind, entry["level"], group, cost["mean"], cost["deviation"]))
    return found


def table_rows(explanation: Content, kind: str) -> list[tuple[Cost, ...]]:
    """A row for each entry of ``kind``, as ``costs`` orders them, with its cost in each measure."""
    columns = [costs(explanation, kind, m) for m in range(len(measures(explanation)))]
    return list(zip(*columns, strict=True))


def _sorted(explanation: Content, kind: str) -> list[Content]:
    return sorted(explanation["importances"][kind], key=lambda entry: -(entry["loss"]["mean"] or 0))


def _letters(explanation: Content) -> dict[tuple[str, str], str]:
    """The group, by a letter, of each feature that is in one, by level and name."""
    return {
        (group["level"], name): _letter(k)
        for k, group in enumerate(_sorted(explanation, "correlated"))
        for name in group["features"]
    }


def _letter(k: int) -> str:
    """a … z, aa …"""
    rest, place = divmod(k, 26)
    return ("" if not rest else _letter(rest - 1)) + chr(ord("a") + place)


def head_title(explanation: Content, head: Content) -> str:
    """The number of a head, if there are several."""
    return f"head {head['task']}" if len(explanation["invariants"]["heads"]) > 1 else ""


def explanation_rows(explanation: Content) -> list[tuple[str, ...]]:
    """The features that matter most, with what permuting them costs, as rows of text."""
    rows = {
        kind: table_rows(explanation, kind)[:_MOST] for kind in ("features", "correlated", "all")
    }
    cells = [(row[0].short_name, *map(_signed, row)) for some in rows.values() for row in some]
    more = len(explanation["importances"]["features"]) - len(rows["features"])
    titles = measures(explanation)
    if more > 0:
        cells.insert(_MOST, (f"and {more} more", *[""] * len(titles)))
    return [("permuted", *titles), *cells] if cells else []


def _signed(cost: Cost) -> str:
    if cost.mean is None:
        return "not finite"
    return f"{cost.mean:.3g} ± {cost.deviation or 0:.1g}"


def invariant_lines(explanation: Content) -> list[str]:
    """How much of the outputs invariants explain, as lines of text."""
    found = explanation["invariants"]
    if found["left_out"]:
        return [f"no share that invariants explain: {found['left_out']}"]
    lines = []
    for head in found["heads"]:
        title = head_title(explanation, head)
        lines.append(f"share of the variance of the outputs{title and f' of {title}'} explained by")
        lines += [
            f"  {METHODS.get(name, name)}: {interval(share)}"
            for name, share in head["methods"].items()
        ]
    return lines
