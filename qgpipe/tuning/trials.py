"""Trains the trials of a study one after the other, in one of perhaps several processes."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgpipe.config.types import Config
from qgpipe.errors import DivergenceError, OutOfMemoryError, QgpipeError
from qgpipe.stages.session_code import live_folders
from qgpipe.system.files import write_json
from qgpipe.system.logs import PROGRESS
from qgpipe.tuning.strategies import require_optuna

logger = logging.getLogger(__name__)

FORMAT = 1


def run_trials(
    raw: Mapping[str, Any],
    config: Config,
    dataset_json: Path,
    split_json: Path,
    folder: Path,
    output: Path,
) -> None:
    """Train trials of the study of ``raw``, resolved to ``config``, until there are enough.

    ``folder``: of all studies; the study has a subfolder named by its fingerprint. Trials of killed
    processes are resumed. The numbers of the trials that this process has ended are written to
    ``output``.

    A trial whose loss is not finite, or that does not fit into memory, is recorded as failed, and
    the study continues. Any other error of a training is raised with the settings of the trial;
    finished trials are kept.
    """
    require_optuna()
    from qgpipe.tuning.study import Study, study_fingerprint

    name = study_fingerprint(raw, config, dataset_json, split_json, live_folders())
    study = Study(raw, config, folder / name)
    done = []
    while (trial := study.take()) is not None:
        PROGRESS.info("%s", trial)
        try:
            _train(study, trial, dataset_json, split_json)
        except QgpipeError as error:
            error.problem += f" ({trial})"
            raise
        done.append(trial.number)
    logger.info("all %d trials have ended or are in other hands", study.tune["trials"])
    write_json(output, {"format": FORMAT, "study": name, "trials": done})


def _train(study: Any, trial: Any, dataset_json: Path, split_json: Path) -> None:
    """Train ``trial``, from its last checkpoint if it has one, and write its result."""
    from qgpipe.training.loaders import open_loaders
    from qgpipe.training.model_sizes import with_sizes
    from qgpipe.training.trainer import Trainer
    from qgpipe.tuning.study import Watch, score

    if trial.pruned:  # by a process that was killed before it wrote the result
        return trial.end()
    try:
        trainer = Trainer(with_sizes(trial.config, dataset_json), trial.folder)
        loaders = open_loaders(trial.config, dataset_json, split_json)
        watch = Watch(trial.handle, study.metric)
        trainer.run_training(loaders.train, loaders.validation, watch)
    except (DivergenceError, OutOfMemoryError) as error:
        PROGRESS.info("trial %d failed: %s", trial.number, error)
        return trial.end(why=str(error))
    rows, best = trainer.history.rows, trainer.selection.epoch
    notes = {"epochs": len(rows), "seconds": round(sum(row["seconds"] for row in rows), 3)}
    if trial.pruned:
        PROGRESS.info("trial %d pruned after epoch %d", trial.number, len(rows))
        return trial.end(**notes)
    assert best is not None
    value = score(rows[best - 1], study.metric)
    if not math.isfinite(value):
        return trial.end(why=f"{study.metric} is {value} in epoch {best}", **notes)
    PROGRESS.info("trial %d: %s %.5g in epoch %d", trial.number, study.metric, value, best)
    return trial.end(value, best_epoch=best, **notes)
