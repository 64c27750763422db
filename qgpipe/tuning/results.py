"""The results of a study: the best configuration, a table of trials, importances, figures."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from qgpipe.config.dump import to_yaml
from qgpipe.config.load import user_folders
from qgpipe.config.resolve import resolve_config
from qgpipe.config.types import Config
from qgpipe.errors import TrainingError
from qgpipe.stages.session_code import live_folders
from qgpipe.sweeps.tuned import Parameter, with_values
from qgpipe.system.files import write_bytes, write_json, write_text
from qgpipe.tuning.strategies import require_optuna

FORMAT = 1
STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
FEWEST = 4  # finished trials, without which there are no importances


def write_study(
    raw: Mapping[str, Any],
    config: Config,
    dataset_json: Path,
    split_json: Path,
    folder: Path,
    file: Path | None,
    outputs: Mapping[str, Path],
) -> None:
    """Write the results of the study of ``raw``, resolved to ``config``, to ``outputs``.

    These are ``best`` (YAML), ``trials`` (CSV), ``summary`` (JSON), ``trials_figure`` and
    ``importances_figure`` (SVG). ``folder``: of all studies; ``file``: that of ``raw``.

    Raises ``TrainingError`` if no trial has finished.
    """
    require_optuna()
    from qgpipe.report.figures import style, tuning_figures
    from qgpipe.tuning.study import Study, study_fingerprint

    name = study_fingerprint(raw, config, dataset_json, split_json, live_folders())
    study = Study(raw, config, folder / name)
    trials = study.optuna.get_trials(deepcopy=False)
    table = trials_table(trials, study.parameters)
    best = best_trial(table, study.mode)
    weights = importances(study.optuna, study.tune["seed"])
    values = {parameter.key: trials[best].params[parameter.key] for parameter in study.parameters}
    value, count = float(table["value"][best]), len(table)
    head = f"# The best of {count} trials is {best}: {study.metric} {value:.6g} (validation).\n"
    chosen = _best_config(raw, study.parameters, values, file, outputs["best"].parent)
    write_text(outputs["best"], head + to_yaml(chosen))
    write_text(outputs["trials"], table.to_csv(index=False))
    write_json(
        outputs["summary"],
        {
            "format": FORMAT,
            "run": config["name"],
            "study": name,
            "metric": study.metric,
            "mode": study.mode,
            "trials": {state: int((table["state"] == state).sum()) for state in STATES.values()},
            "best": {"trial": best, "value": value, "values": values},
            "importances": weights,
        },
    )
    with style.applied():
        figures = {
            "trials_figure": tuning_figures.trials(table, study.metric, study.mode),
            "importances_figure": tuning_figures.importances(weights, study.metric, FEWEST),
        }
        for kind, figure in figures.items():
            write_bytes(outputs[kind], style.to_svg(figure, kind.partition("_")[0]))


def trials_table(trials: Sequence[Any], parameters: Sequence[Parameter]) -> pd.DataFrame:
    """A row for each of Optuna's ``trials``.

    Columns: ``trial``, ``state``, ``value`` (for a pruned trial, the last one), ``best_epoch``,
    ``epochs``, ``seconds``, a column for each parameter by its key, and ``why`` (the reason of a
    failure).
    """
    rows = [
        {
            "trial": trial.number,
            "state": STATES[trial.state.name],
            "value": trial.value,
            **{name: trial.user_attrs.get(name) for name in ("best_epoch", "epochs", "seconds")},
            **{parameter.key: trial.params.get(parameter.key) for parameter in parameters},
            "why": trial.user_attrs.get("why"),
        }
        for trial in trials
    ]
    table = pd.DataFrame(rows)
    whole = ["best_epoch", "epochs"]
    table[whole] = table[whole].astype("Int64")
    return table.astype({"value": float, "seconds": float})


def best_trial(table: pd.DataFrame, mode: str) -> int:
    """The number of the finished trial with the best value, the first of several.

    Raises ``TrainingError`` if there is none.
    """
    finished = table[table["state"] == "finished"]
    if finished.empty:
        first = next(iter(table["why"].dropna()), "all were pruned")
        raise TrainingError(
            f"none of the {len(table)} trials has finished, of the first: {first}",
            where="tune",
            remedy="tune within other ranges",
        )
    values = finished["value"].to_numpy()
    place = values.argmin() if mode == "min" else values.argmax()
    return int(finished["trial"].iloc[place])


def importances(study: Any, seed: int) -> dict[str, float]:
    """The share of the variance of the values that each parameter explains by itself.

    By functional ANOVA of a random forest (Hutter, Hoos, Leyton-Brown 2014), normalised to sum
    to one, the largest first. Computed from the finished trials; empty if they are few or all have
    the same value.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    finished = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len(finished) < FEWEST or len({trial.value for trial in finished}) == 1:
        return {}
    try:
        return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    except RuntimeError:  # no tree of the forest has a split
        return {}


def _best_config(
    raw: Mapping[str, Any],
    parameters: Sequence[Parameter],
    values: Mapping[str, Any],
    file: Path | None,
    folder: Path,
) -> dict[str, Any]:
    """``raw`` with the best values and another name, for a file in ``folder``."""
    best = with_values(raw, parameters, values)
    best["name"] = f"{raw.get('name') or 'run'}-best"
    modules = [path for path in user_folders(raw, file) if path != Path.cwd()]
    if modules:
        best["python_path"] = [os.path.relpath(path, folder.resolve()) for path in modules]
    resolve_config(best)
    return best
