"""Summary of the predictions of each target for the page: confusion, scores, worst errors."""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from qgpipe.report.figures.hasse import Diagram, diagram, to_svg
from qgpipe.report.tables.graphs import graph_sizes, graphs
from qgpipe.report.tables.predictions import Answers, ClassAnswers, answers
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.scores import ClassScore, calibration, class_scores, size_scores

_WORST = 12  # graphs that are shown, for all targets together
_WORST_OF_EACH = 3  # at least, for each target


@dataclass(frozen=True)
class WorstError:
    """A test graph with one of the worst predictions: id, target and prediction as text, picture.

    ``picture`` is an ``svg`` element, or None for the reason ``missing``.
    """

    id: str
    true: str
    predicted: str
    elements: int
    links: int | None
    picture: Markup | None
    missing: str | None


@dataclass(frozen=True)
class TargetSummary:
    """The predictions of one target.

    ``unit``: whether predictions are for ``graphs`` or ``elements``; ``graphs``: their number.
    ``left_out``: number of those with values that are not finite. For a classification (else
    None), ``classes``: names by code; ``confusion``: counts by true (row) and predicted class;
    ``class_scores``; ``calibration_error``; ``scale``: how probabilities are computed. ``sizes``:
    rows of smallest and largest size, number of graphs, score and its interval.
    """

    name: str
    graphs: int
    left_out: int
    unit: str
    score: str
    classes: list[str] | None
    confusion: NDArray[np.int64] | None
    class_scores: list[ClassScore] | None
    calibration_error: float | None
    scale: str | None
    sizes: list[tuple[Any, ...]]
    worst: list[WorstError]


def summarize_targets(results: RunResults) -> list[TargetSummary]:
    """The summary of the predictions of each target.

    Raises ``DataError`` if a tested graph is in no part file.
    """
    found = answers(results)
    ids = results.predictions["id"].tolist()
    sizes = graph_sizes(results, ids) if found else np.zeros(0, np.int64)
    shown = max(_WORST_OF_EACH, _WORST // max(len(found), 1))
    has_names = sum(isinstance(one, ClassAnswers) for one in found) == 1
    return [_judge(results, one, ids, sizes, shown, has_names) for one in found]


def _judge(
    results: RunResults,
    one: Answers,
    ids: list[str],
    sizes: NDArray[np.int64],
    shown: int,
    has_names: bool,
) -> TargetSummary:
    """``has_names``: the class names are those of the only target that is a class."""
    classes = confusion = scale = None
    if isinstance(one, ClassAnswers):
        number = one.probabilities.shape[1]
        if has_names:
            number = max(number, len(results.dataset["class_names"] or []))
        classes = [results.class_name(k) if has_names else f"class {k}" for k in range(number)]
        confusion = np.zeros((number, number), np.int64)
        np.add.at(confusion, (one.target, one.predicted), 1)
        scale = "outputs as they are" if one.are_probabilities else "softmax of the outputs"
    by_size = astuple(size_scores(one, sizes[one.rows]))
    return TargetSummary(
        one.name,
        len(one.rows),
        len(ids) - len(one.rows),
        one.unit,
        "accuracy" if isinstance(one, ClassAnswers) else "mean absolute error",
        classes,
        confusion,
        None if confusion is None else class_scores(confusion),
        calibration(one).error if isinstance(one, ClassAnswers) else None,
        scale,
        list(zip(*(column.tolist() for column in by_size), strict=True)),
        _worst(results, one, classes, ids, shown),
    )


def _worst(
    results: RunResults, one: Answers, classes: list[str] | None, ids: list[str], shown: int
) -> list[WorstError]:
    """Wrong predictions, the worst first."""
    order = np.argsort(-one.error, kind="stable")[:shown]
    chosen = order[one.error[order] > 0]
    names = [ids[row] for row in one.rows[chosen]]
    if one.unit == "elements":
        of_rows = results.predictions["element"].iloc[one.rows[chosen]].astype(int)
        shown_as = [f"{name}, element {k}" for name, k in zip(names, of_rows, strict=True)]
    else:
        shown_as = names
    return [
        _shown(name, *_in_words(one, place, classes), diagram(graph), graph.num_nodes)
        for name, place, graph in zip(shown_as, chosen, graphs(results, names), strict=True)
    ]


def _in_words(one: Answers, place: int, classes: list[str] | None) -> tuple[str, str]:
    if isinstance(one, ClassAnswers) and classes is not None:
        true, predicted = int(one.target[place]), int(one.predicted[place])
        shares = one.probabilities[place]
        return (
            f"{classes[true]} ({shares[true]:.1%})",
            f"{classes[predicted]} ({shares[predicted]:.1%})",
        )
    values = (one.target[place], one.predicted[place])
    return f"{values[0]:.4g}".replace("-", "−"), f"{values[1]:.4g}".replace("-", "−")


def _shown(name: str, true: str, predicted: str, drawn: Diagram | str, elements: int) -> WorstError:
    if isinstance(drawn, str):
        return WorstError(name, true, predicted, elements, None, None, drawn)
    links = drawn.links.shape[1]
    kind = "Sprinkling" if drawn.sprinkled else "Hasse diagram"
    picture = to_svg(drawn, f"{kind} of {name}: {elements} elements, {links} links")
    return WorstError(name, true, predicted, elements, links, picture, None)
