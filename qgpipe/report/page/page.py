"""The report of a run: a self-contained HTML file without scripts."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
from markupsafe import Markup

import qgpipe
from qgpipe.report.figures import style
from qgpipe.report.figures.prediction import MOST_CLASSES
from qgpipe.report.figures.run_figures import figures_asked_for
from qgpipe.report.page.inline import inline_svg
from qgpipe.report.page.provenance_summary import provenance_summary
from qgpipe.report.page.target_summary import summarize_targets
from qgpipe.report.tables import explanation as explanations
from qgpipe.report.tables.ablations import TITLES as ABLATION_TITLES
from qgpipe.report.tables.baselines import metric_by_best, other_metrics, ranked, reasons
from qgpipe.report.tables.calibration import read_calibration
from qgpipe.report.tables.evaluations import (
    MEASURES,
    EvaluatedTask,
    evaluated_tasks,
    left_out_texts,
    read_baseline_scores,
    read_evaluation,
)
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.sensitivity import sensitivities
from qgpipe.system.files import write_text
from qgpipe.workflow_folder import workflow_folder

_PACKAGE = files("qgpipe.report.page")
_SKIPPED = 20  # bad samples that are listed
_STORES = 50
_NAMES = 200  # features that are listed


@dataclass(frozen=True)
class _Shown:
    """A figure of the page."""

    svg: Markup
    caption: str


def write_page(
    run_folder: Path,
    dataset_json: Path,
    split_json: Path,
    output: Path,
    evaluations: Sequence[Path] = (),
    baseline_scores: Sequence[Path] = (),
    calibration: Path | None = None,
    explained: bool = False,
    ablated: bool = False,
    sensitivity: Sequence[str] = (),
) -> None:
    """Write the report of a run to the file ``output``, atomically.

    ``evaluations``: files of the stage ``evaluate``, in the order in which they are shown;
    ``baseline_scores``: of the stage ``apply``, if there are baselines;
    ``calibration``: that of the stage ``calibrate``, if the run has one; ``explained``,
    ``ablated``: whether ``run_folder`` has an ``explanation.json``, and an ``ablations.json``;
    ``sensitivity``: attributes of the graphs by which scores are shown.

    ``run_folder`` holds ``config.yaml``, ``history.csv``, ``summary.json``, ``test/metrics.json``
    and ``test/predictions.csv``, and ``test/baselines.json`` if there are baselines. Tested graphs
    are read from the parts listed in ``dataset_json``, and the provenance from the records beside
    the files, if there are any. Raises ``DataError`` for a file that is missing, damaged or lacks
    values.
    """
    results = RunResults(run_folder, dataset_json, split_json, sensitivity)
    fitted = read_calibration(calibration) if calibration else None
    read = [read_evaluation(path) for path in evaluations]
    evaluated = evaluated_tasks(read, map(read_baseline_scores, baseline_scores))
    write_text(output, render(results, evaluated, fitted, explained, ablated))


def render(
    results: RunResults,
    evaluated: Sequence[EvaluatedTask] = (),
    calibration: dict[str, Any] | None = None,
    explained: bool = False,
    ablated: bool = False,
) -> str:
    """The report of a run as HTML. Raises the exceptions of ``write_page``."""
    environment = _environment()
    run = str(results.test["run"])
    asked = {"explain": explained, "ablations": ablated, "sensitivity": bool(results.sensitivity)}
    found = provenance_summary(results.run_folder / "test" / "metrics.json")
    return environment.get_template("page.html.jinja").render(
        run=run,
        version=qgpipe.__version__,
        css=Markup((_PACKAGE / "page.css").read_text(encoding="utf-8")),
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        test=results.test,
        summary=results.summary,
        dataset=results.dataset,
        split=results.split,
        sets={name: len(results.split[name] or []) for name in style.SETS},
        set_names=style.SET_NAMES,
        class_name=results.class_name,
        evaluated=evaluated,
        baselines_left_out=left_out_texts(evaluated),
        measures=MEASURES,
        calibration=calibration,
        baselines=results.baselines,
        baseline_names=ranked(results.baselines) if results.baselines else [],
        baseline_reasons=reasons(results.baselines) if results.baselines else [],
        metric_by_best=metric_by_best,
        other_metrics=other_metrics,
        target_summaries=summarize_targets(results),
        sensitivities=sensitivities(results),
        explanation=results.explanation if explained else None,
        explanations=explanations,
        ablations=results.ablations if ablated else None,
        ablation_titles=ABLATION_TITLES,
        figures=_figures(results, run, environment, asked),
        provenance_summary=found,
        config=results.config_text,
        most=SimpleNamespace(classes=MOST_CLASSES, skipped=_SKIPPED, stores=_STORES, names=_NAMES),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (_PACKAGE / name).read_text(encoding="utf-8")),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=_number, share=_share, duration=_duration, date=_date, exact=json.dumps
    )
    return environment


def _figures(
    results: RunResults, run: str, environment: jinja2.Environment, asked: Mapping[str, bool]
) -> dict[str, _Shown]:
    """Every figure by name, with the caption from Snakemake's report, for the task of the run."""
    captions = workflow_folder() / "rules" / "captions"
    known: dict[str, Any] = {"snakemake": SimpleNamespace(wildcards=SimpleNamespace(run=run))}
    if results.test["task"] in ("classification", "regression"):
        known["task"] = results.test["task"]
    shown = {}
    with style.applied():
        for name, figure in figures_asked_for(asked).items():
            caption = environment.from_string((captions / f"{name}.rst").read_text()).render(known)
            svg = inline_svg(figure.function(results), name, f"{figure.title} of run {run}")
            shown[name] = _Shown(svg, Markup(caption))
    return shown


def _number(value: Any) -> str:
    """Four significant digits; integers with thousands separators; a dash for missing values."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return text.replace("-", "−")


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def _date(text: str) -> str:
    """A readable form of a date in ISO 8601, in UTC."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
