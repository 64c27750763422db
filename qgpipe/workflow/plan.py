"""What the Snakefile needs to know: the runs of the configuration and the planned parts.

Nothing here imports torch or zarr, so that a dry run stays fast.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from snakemake_interface_common.exceptions import WorkflowError

from qgpipe import paths
from qgpipe.baselines.features import require_known_features
from qgpipe.config.dump import to_plain
from qgpipe.config.load import files_text, load_config, user_folders
from qgpipe.config.objects import add_search_path
from qgpipe.config.types import Config, Variant
from qgpipe.data.preprocessing.data_plan import DataPlan, described_stores, plan_data
from qgpipe.data.preprocessing.plan import PartPlan
from qgpipe.errors import ConfigError, QgpipeError
from qgpipe.evaluation.plan import evaluation_section, plan_evaluations
from qgpipe.prediction.origin import require_no_other
from qgpipe.prediction.plan import PredictedStore, plan_predictions, prediction_section
from qgpipe.stages.registry import stage_section
from qgpipe.sweeps.expansion import Run, comparison_section, expand_runs, with_derived
from qgpipe.system.files import os_error_of_user

_VARIANTS = ("raw", "parts", "split")


@dataclass(frozen=True)
class Plan:
    """The runs of a configuration with their data.

    ``runs``: by name. ``data``: of each run, by name; runs with the same data have the same
    object. ``predictions``: of each run, by name, the stores that its model is applied to;
    ``evaluations``: likewise the sets that it is evaluated on.
    ``raw``, ``file``, ``over``, ``folders``: the configuration as it was read, its file, those that
    are laid over it, and where the user's code is found.
    """

    runs: dict[str, Run]
    data: dict[str, DataPlan]
    predictions: dict[str, dict[str, PredictedStore]]
    evaluations: dict[str, dict[str, PredictedStore]]
    raw: Mapping[str, Any]
    file: Path | None
    over: tuple[Path, ...]
    folders: tuple[Path, ...]

    @cached_property
    def settings(self) -> Config:
        """A configuration for the paths of rules: wildcards stand for what runs do not share."""
        config = self._first.config
        of_runs = [v for run in self.runs.values() if (v := run.config["data"]["variant"])]
        wildcards = {k: f"{{{k}}}" if any(v.get(k) for v in of_runs) else None for k in _VARIANTS}
        return {**config, "data": {**config["data"], "variant": cast(Variant, wildcards)}}

    @property
    def is_sweep(self) -> bool:
        """Whether runs differ in more than the fold that is tested on."""
        return any(run.point for run in self.runs.values())

    @property
    def has_folds(self) -> bool:
        """Whether there are several folds."""
        return len({run.fold for run in self.runs.values()}) > 1

    def files(self, *path_of: Callable[[Config], Path]) -> list[Path]:
        """The files of all runs, given as functions of a configuration, each file once."""
        found = [path(run.config) for run in self.runs.values() for path in path_of]
        return list(dict.fromkeys(found))

    def baselines(self, *path_of: Callable[[Config], Path]) -> list[Path]:
        """As ``files``; none if there are to be no baselines."""
        return self.files(*path_of) if self._first.config["baseline"] else []

    def part_files(self) -> list[Path]:
        """The parts of all runs, each once."""
        return list(dict.fromkeys(file for data in self._all_data for file in data.files))

    def generated_stores(self) -> list[Path]:
        """Attributes of the stores that the ``generate`` stage writes."""
        parts = (part for data in self._all_data for part in data.parts.values())
        return sorted({paths.store_attributes(part.path) for part in parts if part.generated})

    def summaries(self) -> list[Path]:
        """Tables and figures that compare the runs, if they are several."""
        found = []
        for wanted, table, figure in (
            (self.is_sweep, paths.sweep_table, paths.sweep_figure),
            (self.has_folds, paths.folds_table, paths.folds_figure),
        ):
            if wanted:
                found += [path(self.settings, self._first.base) for path in (table, figure)]
        return found

    def tables(self) -> list[Path]:
        """The predictions of all runs."""
        return [
            paths.predicted(self.runs[run].config, None, store)
            for run, stores in self.predictions.items()
            for store in stores
        ]

    def evaluated(self, run: str | None = None) -> list[Path]:
        """The results on further sets, of all runs or of one."""
        return [
            paths.evaluated(self.runs[name].config, None, chosen)
            for name, sets in self.evaluations.items()
            for chosen in sets
            if run in (None, name)
        ]

    def training_set(self) -> list[Path]:
        """What is kept of the fitted baselines, if there are further sets to apply them to."""
        return [paths.training_set(self.settings)] if self.baseline_scores() else []

    def baseline_scores(self, run: str | None = None) -> list[Path]:
        """The scores of the baselines on further sets, of all runs or of one, each file once."""
        found = [
            paths.baseline_scores(self.runs[name].config, chosen)
            for name, sets in self.evaluations.items()
            for chosen in sets
            if self._first.config["baseline"] and run in (None, name)
        ]
        return list(dict.fromkeys(found))

    def explained(self, run: str | None = None) -> list[Path]:
        """What is found of the models of all runs, or of one; none if that is not asked for."""
        return [
            paths.explanation(one.config)
            for name, one in self.runs.items()
            if one.config["report"]["explain"] and run in (None, name)
        ]

    def ablated(self, run: str | None = None) -> list[Path]:
        """How all runs, or one, compare with their ablations; none if there are to be none."""
        return [
            paths.ablations(one.config)
            for name, one in self.runs.items()
            if one.config["report"]["ablations"] and run in (None, name)
        ]

    def ablation_results(self, wildcards: Any) -> list[Path]:
        """The test results of the ablations of a run."""
        configs = [run.config for run in self._run(wildcards).derived["ablation"]]
        return [path(c) for c in configs for path in (paths.metrics, paths.predictions)]

    def studied(self) -> list[Path]:
        """What a study has found, if there is one."""
        if "tune" not in self._first.config:
            return []
        return self.files(
            paths.best_config,
            paths.trials_table,
            paths.study_summary,
            paths.trials_figure,
            paths.importances_figure,
        )

    def tuning_jobs(self, wildcards: Any) -> list[Path]:
        """What the jobs that share the trials of a study write."""
        config = self._run(wildcards).config
        count = config.get("tune", {"jobs": 0})["jobs"]
        return [paths.tuning_job(config, None, str(k)) for k in range(1, count + 1)]

    def raw_store(self, wildcards: Any) -> list[Path]:
        """What the job of a part waits for: its store's attributes, if that is generated.

        The state of any other store is in the part's section.
        """
        part = self.planned_part(wildcards)
        return [paths.store_attributes(part.path)] if part.generated else []

    def parts(self, wildcards: Any) -> list[Path]:
        """The part files of a job's data."""
        return self._data(wildcards).files

    def planned_part(self, wildcards: Any) -> PartPlan:
        """The part that a job makes."""
        return self._data(wildcards).parts[wildcards.part]

    def planned_parts(self, wildcards: Any) -> list[PartPlan]:
        """The parts of a job's data; of a job that generates a store, those read from it."""
        parts = list(self._data(wildcards).parts.values())
        if not hasattr(wildcards, "store"):
            return parts
        store = paths.raw_store(self._run(wildcards).config, wildcards.store)
        return [part for part in parts if part.path == store]

    def gathered(self, wildcards: Any) -> dict[str, Any]:
        """Inputs of the job that splits: the data."""
        dataset = paths.dataset(self._run(wildcards).config)
        return {"parts": self.parts(wildcards), "dataset": dataset}

    def prepared(self, wildcards: Any) -> dict[str, Any]:
        """Inputs of a job that trains, tests or reports: the data and how it is split."""
        split = paths.split(self._run(wildcards).config)
        return {**self.gathered(wildcards), "split": split}

    def having(self, kind: str) -> str:
        """A pattern for the names of the runs from which runs of ``kind`` are derived."""
        names = [name for name, run in self._with_derived.items() if run.derived.get(kind)]
        return "|".join(map(re.escape, names)) or "(?!)"

    def members(self, wildcards: Any) -> dict[str, list[Path]]:
        """Inputs of the job that combines an ensemble: what its members have become."""
        configs = [run.config for run in self._run(wildcards).derived["member"]]
        return {
            "models": [paths.model(config) for config in configs],
            "histories": [paths.history(config) for config in configs],
            "summaries": [paths.summary(config) for config in configs],
        }

    def final_model(self, wildcards: Any) -> Path:
        """The model of a run that is tested and applied to other data."""
        return paths.final_model(self._run(wildcards).config)

    def answered(self, wildcards: Any) -> dict[str, Any]:
        """Inputs of a job that compares a model with the baselines: what these have answered."""
        return {"answers": paths.baseline_answers(self._run(wildcards).config)}

    def compared(self, wildcards: Any) -> dict[str, Any]:
        """Inputs of a job that shows how the model of a run compares with the baselines."""
        config = self._run(wildcards).config
        return {"baselines": paths.baselines(config)} if config["baseline"] else {}

    def calibrated(self, wildcards: Any) -> dict[str, Any]:
        """Inputs of a job that shows how the model of a run was calibrated."""
        config = self._run(wildcards).config
        is_calibrated = paths.final_model(config) != paths.model(config)
        return {"calibration": paths.calibration(config)} if is_calibrated else {}

    def predicted_store(self, wildcards: Any) -> PredictedStore:
        """The store that a job applies a model to."""
        stores = self.predictions[self._run(wildcards).config["name"]]
        if wildcards.predicted not in stores:
            raise WorkflowError(f"there is no store '{wildcards.predicted}' in predict.files")
        return stores[wildcards.predicted]

    def evaluated_set(self, wildcards: Any) -> PredictedStore:
        """The set that a job evaluates a model on."""
        sets = self.evaluations[self._run(wildcards).config["name"]]
        if wildcards.evaluated not in sets:
            raise WorkflowError(f"there is no set '{wildcards.evaluated}' in evaluate.sets")
        return sets[wildcards.evaluated]

    def evaluation_section(self, wildcards: Any) -> dict[str, Any]:
        """What shapes the result on a set, beside the model."""
        config = self._run(wildcards).config
        return evaluation_section(config, self.evaluated_set(wildcards), self.folders)

    def baseline_scores_section(self, wildcards: Any) -> dict[str, Any]:
        """What shapes the scores of the baselines on a set, beside the training set."""
        config, chosen = self._run(wildcards).config, self.evaluated_set(wildcards)
        return evaluation_section(config, chosen, self.folders, "apply")

    def evaluated_store(self, wildcards: Any, output: Any) -> Path | None:
        """Where the store of a set lies; None for one that is generated."""
        chosen = self.evaluated_set(wildcards)
        return None if chosen.generated else chosen.path

    def generated_input(self, wildcards: Any) -> list[Path]:
        """What a job that applies a model waits for: its store's attributes, if generated."""
        store = self.predicted_store(wildcards)
        return [paths.store_attributes(store.path)] if store.generated else []

    def prediction_section(self, wildcards: Any) -> dict[str, Any]:
        """What shapes the table of a store, beside the model."""
        config = self._run(wildcards).config
        return prediction_section(config, self.predicted_store(wildcards), self.folders)

    def generated_store(self, wildcards: Any, output: Any) -> Path:
        """Where the store lies that a job generates."""
        return paths.raw_store(self._run(wildcards).config, wildcards.store)

    def part_store(self, wildcards: Any, output: Any) -> Path:
        """Where the store lies from which a job makes a part."""
        return self.planned_part(wildcards).path

    def store_path(self, wildcards: Any, output: Any) -> Path:
        """Where the store of a job that applies a model lies."""
        return self.predicted_store(wildcards).path

    def context(self, wildcards: Any, output: Any) -> dict[str, Any]:
        """What a job is told beside its section: its configuration, and the files that it is from.

        Snakemake compares no parameter that is a function of ``output``.
        """
        return {"config": self._run(wildcards).config, "file": self.file, "over": self.over}

    def tuning_context(self, wildcards: Any, output: Any) -> dict[str, Any]:
        """What a job of a study is told: the configuration as it was read, too."""
        return {**self.context(wildcards, output), "raw": self.raw}

    def section(self, stage: str) -> Callable[[Any], dict[str, Any]]:
        """A function of wildcards: what shapes the result of ``stage``, for ``params``."""
        if stage == "gather":
            return lambda wildcards: self._data(wildcards).section()
        return lambda wildcards: stage_section(self._run(wildcards).config, stage, self.folders)

    def part_section(self, wildcards: Any) -> dict[str, Any]:
        """What shapes a part, for the ``params`` of its preprocessing job."""
        return self._data(wildcards).sections[wildcards.part]

    def stores(self, wildcards: Any, output: Any) -> list[dict[str, Any]]:
        """What a job that lists parts is told of the stores, which may be moved afterwards."""
        return described_stores(self.planned_parts(wildcards))

    def samples(self, wildcards: Any, output: Any) -> dict[str, Any]:
        """Arguments of ``preprocess_part`` that say which samples a part holds."""
        planned = self.planned_part(wildcards)
        return {
            "store_name": planned.store,
            "start": planned.start,
            "stop": planned.stop,
            "role": planned.role,
        }

    def comparison(self, stage: str) -> dict[str, Any]:
        """What shapes a table of runs: which runs there are, and where they stand."""
        return comparison_section(self.runs.values(), stage)

    @property
    def _first(self) -> Run:
        return next(iter(self.runs.values()))

    @cached_property
    def _with_derived(self) -> dict[str, Run]:
        return {run.config["name"]: run for run in with_derived(self.runs.values())}

    @cached_property
    def _all_data(self) -> list[DataPlan]:
        return list({id(data): data for data in self.data.values()}.values())

    def _data(self, wildcards: Any) -> DataPlan:
        return self.data[self._run(wildcards).config["name"]]

    def _run(self, wildcards: Any) -> Run:
        """The run that a job is of, or one of those that share what it makes."""
        if hasattr(wildcards, "run"):
            if wildcards.run not in self._with_derived:
                raise WorkflowError(f"there is no run '{wildcards.run}' in this configuration")
            return self._with_derived[wildcards.run]
        if len(self.runs) == 1:
            return self._first
        wanted = {kind: getattr(wildcards, kind) for kind in _VARIANTS if hasattr(wildcards, kind)}
        return next(
            run
            for run in self.runs.values()
            if wanted.items() <= (run.config["data"]["variant"] or {}).items()
        )


def plan_workflow(raw: Mapping[str, Any], configfiles: Sequence[str | Path]) -> Plan:
    """Resolve the configuration that Snakemake read, and plan the parts of its data.

    User modules are found beside the configuration files, in the working directory and in
    ``python_path``. Raises Snakemake's ``WorkflowError``, which is shown without traceback,
    for whatever a user can fix.
    """
    files = tuple(_shortest(Path(read)) for read in configfiles)
    file = files_text(files) or None
    try:
        for read in files:
            load_config(read)  # says what Snakemake lets pass, such as a key given twice
        runs = {run.config["name"]: run for run in expand_runs(raw, file)}
        folders = user_folders(raw, *configfiles)
        add_search_path(*folders)
        data = plan_data({name: run.config for name, run in runs.items()}, folders)
        for name, run in runs.items():
            data |= {one.config["name"]: data[name] for one in with_derived([run])}
        predicted = {name: plan_predictions(run.config, folders) for name, run in runs.items()}
        evaluated = {name: plan_evaluations(run.config) for name, run in runs.items()}
        for name, run in runs.items():
            require_known_features(run.config)
            require_no_other(run.config, predicted[name], folders)
    except QgpipeError as error:
        if isinstance(error, ConfigError):
            error.file = error.file or file
        raise WorkflowError(str(error)) from None
    except OSError as error:
        if (user_error := os_error_of_user(error)) is None:
            raise
        raise WorkflowError(str(user_error)) from None
    first = files[0] if files else None
    return Plan(runs, data, predicted, evaluated, to_plain(raw), first, files[1:], folders)


def _shortest(file: Path) -> Path:
    """``file`` relative to the working directory if it is in there, else absolute."""
    absolute, here = file.resolve(), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
