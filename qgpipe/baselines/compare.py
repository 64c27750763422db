"""The stage ``compare``: scores of a run's model and of the baselines, computed the same way."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qgpipe import paths
from qgpipe.baselines.answers import BaselineAnswers, TargetAnswers, read_answers
from qgpipe.baselines.methods import TITLES
from qgpipe.baselines.predictors import (
    Head,
    Kind,
    Mismatch,
    as_model,
    common_graphs,
    from_table,
    head_of,
    methods_of,
    part_of,
)
from qgpipe.baselines.statistics import (
    SEED,
    Difference,
    bootstrap_interval,
    difference_of_accuracies,
    difference_of_means,
    mcnemar,
)
from qgpipe.config.types import Config
from qgpipe.errors import TrainingError
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.scores import wilson_interval
from qgpipe.system.files import sha256, write_json
from qgpipe.training.evaluation.metrics import Collected, Monitor, build_monitors
from qgpipe.training.steps.outputs import labels

FORMAT = 1
MOST_RESAMPLES, FEWEST_RESAMPLES = 200, 100  # for the interval of a metric
# In all bootstrap samples together: of large test sets, whose intervals are narrow, few are drawn.
RESAMPLED_GRAPHS = 1_000_000
SLOWEST = 0.1  # seconds of one call of a metric; intervals of slower ones would take minutes
SIGNIFICANT = 0.05
MODEL = "model"

logger = logging.getLogger(__name__)

Score = dict[str, float | None]


@dataclass(frozen=True)
class Question:
    """One target that model and baselines have predicted.

    ``scores``: for each predictor, whether each of N graphs is predicted correctly, bool [N], if
    the target is a class; otherwise the absolute error, float64 [N].
    """

    name: str
    kind: Kind
    scores: dict[str, NDArray[Any]]

    @property
    def is_class(self) -> bool:
        """Whether the target is a class, not a value."""
        return self.kind == "classification"


def compare_run(config: Config, answers_file: Path, output: Path) -> None:
    """Write the scores of model and baselines on the test set to ``output``, as JSON.

    The model's predictions are in the ``test`` folder of the run, those of the baselines in
    ``answers_file``. Raises ``DataError`` for a file that is missing or damaged.
    """
    results = RunResults(paths.run_folder(config), paths.dataset(config), paths.split(config))
    answers, monitors = read_answers(answers_file), _monitors(config)
    found = comparison(results.test, results.predictions, answers, monitors)
    write_json(output, {**found, "predictions": sha256(paths.predictions(config))})


def comparison(
    test: Mapping[str, Any],
    predictions: pd.DataFrame,
    answers: BaselineAnswers,
    monitors: list[Monitor],
) -> dict[str, Any]:
    """Content of ``baselines.json``, except the checksum of ``predictions.csv``.

    ``test``: content of ``metrics.json``; ``predictions``: one row for each test graph. In the
    result, ``targets`` has for each graph-level target the accuracy or mean absolute error of the
    model and of every baseline with 95 % intervals, and for each baseline whether the difference
    from the model is significant. ``metrics`` are those of the tester. Values that are not finite
    are null.
    """
    left_out: list[dict[str, Any]] = [
        {"baseline": name, "target": None, "reason": reason}
        for name, reason in answers.left_out.items()
    ]
    model = from_table(predictions)
    questions: list[Question] = []
    predictors = {MODEL: model}
    try:
        known, rows = common_graphs(predictions, answers)
        heads = [head for task in model.heads if (head := head_of(model, task, answers))]
        if not heads and answers.targets:
            raise Mismatch("the model has no answer to a target of whole graphs")
        given = part_of(model, known)
        others = {name: as_model(given, name, heads, answers, rows) for name in methods_of(answers)}
        predictors = {MODEL: given, **{k: v for k, v in others.items() if v.heads}}
        name_is_unique = len(heads) == 1 or len(answers.targets) > 1
        questions = [
            question
            for head in heads
            for question in _questions(head, predictors, answers.targets, name_is_unique)
        ]
    except Mismatch as reason:
        left_out += [
            {"baseline": name, "target": None, "reason": str(reason)}
            for name in methods_of(answers)
        ]
    left_out += [
        {"baseline": name, "target": one.name, "reason": reason}
        for one in answers.targets
        for name, reason in one.left_out.items()
    ]
    used = [name for name in predictors if name != MODEL]
    judged = [_judged(question) for question in questions]
    # On fewer graphs the metrics of the model differ from those of the test.
    as_tested = test["metrics"] if predictors[MODEL].num_graphs == len(predictions) else {}
    return {
        "format": FORMAT,
        "run": test["run"],
        "num_graphs": predictors[MODEL].num_graphs,
        "num_tested": len(predictions),
        "num_train": answers.num_train,
        "fitted_to": answers.fitted_to,
        "features": answers.features,
        "resamples": resamples_of(predictors[MODEL].num_graphs),
        "seed": SEED,
        "baselines": {name: TITLES.get(name, name) for name in used},
        "targets": judged,
        "metrics": _metrics(monitors, predictors, as_tested, [*map(_scores, judged)])
        if used
        else {},
        "left_out": left_out,
    }


def resamples_of(num_graphs: int) -> int:
    """The number of bootstrap samples for the interval of a metric."""
    wanted = RESAMPLED_GRAPHS // max(num_graphs, 1)
    return min(max(wanted, FEWEST_RESAMPLES), MOST_RESAMPLES)


def _monitors(config: Config) -> list[Monitor]:
    """Metrics of the test; those of a user's tester are unknown."""
    tester: Mapping[str, Any] = config["testing"]["tester"]
    tasks = tester["evaluator_tasks"] if "type" not in tester else []
    return build_monitors(tasks, "testing.tester.evaluator_tasks")


def _questions(
    head: Head,
    predictors: Mapping[str, Collected],
    targets: list[TargetAnswers],
    name_is_unique: bool,
) -> list[Question]:
    """The scores of each predictor on the targets of ``head``, without graphs that have none."""
    found = []
    for place, column in enumerate(head.columns):
        suffix = "" if name_is_unique else f", head {head.task}"
        question = Question(targets[column].name + suffix, head.kind, {})
        for name, seen in predictors.items():
            if head.task not in seen.heads:
                continue
            output, target = seen.pair(head.task)
            answer = labels(output, target) if question.is_class else output.double().numpy()
            truth = target.numpy() if question.is_class else target.double().numpy()
            if len(head.columns) > 1:
                answer, truth = answer[:, place], truth[:, place]
            if question.is_class:
                question.scores[name] = (answer == truth)[truth >= 0]
            else:
                question.scores[name] = np.abs(answer - truth)[np.isfinite(truth)]
        found.append(question)
    return found


def _judged(question: Question) -> dict[str, Any]:
    """The entry of a target: scores with intervals, and the baselines compared with the model."""
    entry: dict[str, Any] = {
        "name": question.name,
        "measure": "accuracy" if question.is_class else "mean absolute error",
        "better": "max" if question.is_class else "min",
        "num_graphs": len(question.scores[MODEL]),
        "test": "McNemar, exact" if question.is_class else "paired bootstrap",
        "model": None,
        "baselines": {},
        "best": None,
    }
    if not entry["num_graphs"]:
        return entry
    entry["model"] = _score(question, MODEL)
    for name in question.scores:
        if name != MODEL:
            entry["baselines"][name] = _score(question, name) | _compared(question, name)
    values = {name: score["value"] for name, score in entry["baselines"].items()}
    if values:
        entry["best"] = (max if question.is_class else min)(values, key=lambda name: values[name])
    return entry


def _score(question: Question, name: str) -> dict[str, float]:
    scores = question.scores[name]
    if question.is_class:
        low, high = wilson_interval(scores.sum(), len(scores))
    else:
        number = resamples_of(len(scores))
        interval = bootstrap_interval(lambda rows: scores[rows].mean(), len(scores), number)
        assert interval is not None
        low, high = interval
    return {"value": float(scores.mean()), "low": float(low), "high": float(high)}


def _compared(question: Question, name: str) -> dict[str, Any]:
    """The difference between the model and a baseline."""
    both = question.scores[MODEL], question.scores[name]
    more: dict[str, Any] = {}
    if question.is_class:
        found, counts = difference_of_accuracies(*both), mcnemar(*both)
        more = {"only_model_right": counts.first, "only_baseline_right": counts.second}
    else:
        found = difference_of_means(*both)
    return {
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
        "p": found.p,
        **more,
        "model_is": _verdict(found, question.is_class),
    }


def _verdict(found: Difference, higher_is_better: bool) -> str:
    if found.p > SIGNIFICANT:
        return "not different"
    return "better" if (found.value > 0) == higher_is_better else "worse"


def _scores(entry: Mapping[str, Any]) -> dict[str, Score]:
    """The scores in an entry of ``targets``, by predictor."""
    found = {MODEL: entry["model"], **entry["baselines"]} if entry["model"] else {}
    return {
        name: {key: score[key] for key in ("value", "low", "high")} for name, score in found.items()
    }


def _metrics(
    monitors: list[Monitor],
    predictors: Mapping[str, Collected],
    of_model: Mapping[str, Any],
    judged: list[dict[str, Score]],
) -> dict[str, Any]:
    """The tester's metrics of the model and of the baselines.

    ``of_model``: known metrics of the model. ``judged``: scores with known intervals, which a
    metric with the same values shares.
    """
    found = {}
    for monitor in monitors:
        if monitor.sees_losses:  # of batches, which are not known here
            continue
        plain = {name: _value(monitor, seen) for name, seen in predictors.items()}
        same = next((scores for scores in judged if _values(scores) == plain), None)
        values = same or {
            name: _interval(monitor, seen, plain[name]) for name, seen in predictors.items()
        }
        values = {name: dict(score) for name, score in values.items()}
        if monitor.name in of_model:
            known = of_model[monitor.name]
            values[MODEL]["value"] = known if _is_number(known) else None
        model = values.pop(MODEL)
        found[monitor.name] = {"better": monitor.better, "model": model, "baselines": values}
    return found


def _values(scores: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    return {name: score["value"] for name, score in scores.items()}


def _interval(monitor: Monitor, seen: Collected, value: float | None) -> Score:
    """``value`` with its interval, which is null without a value or if the metric is too slow."""
    nothing = {"value": value, "low": None, "high": None}
    if value is None:
        return nothing
    begun = time.monotonic()
    monitor(seen)
    if time.monotonic() - begun > SLOWEST:
        logger.info("no interval of %s, which takes too long", monitor.name)
        return nothing

    def on_sample(rows: NDArray[np.int64]) -> float:
        value = _value(monitor, part_of(seen, rows))
        return math.nan if value is None else value

    interval = bootstrap_interval(on_sample, seen.num_graphs, resamples_of(seen.num_graphs))
    low, high = interval or (None, None)
    return {"value": value, "low": low, "high": high}


def _value(monitor: Monitor, seen: Collected) -> float | None:
    try:
        value = monitor(seen)
    except TrainingError as error:
        logger.warning("%s", error)
        return None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
