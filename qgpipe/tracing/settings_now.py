"""Compares a configuration file with the settings in a record."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from qgpipe import paths
from qgpipe.config.load import files_text, load_config
from qgpipe.config.types import Config, PredictSection
from qgpipe.data.preprocessing.data_plan import DataPlan, plan_data
from qgpipe.errors import QgpipeError
from qgpipe.evaluation.plan import evaluation_section, plan_evaluations
from qgpipe.prediction.plan import plan_predictions, prediction_section
from qgpipe.prediction.run_folder import code_folders
from qgpipe.provenance.differences import Difference, differences
from qgpipe.provenance.record import Record, as_recorded
from qgpipe.stages.registry import STAGES, stage_section
from qgpipe.sweeps.expansion import comparison_section, expand_runs, with_derived


@dataclass(frozen=True)
class Settings:
    """The result of comparing the configuration file of a record with the record.

    ``problem``: why they cannot be compared. ``changes``: differences from the record, including
    fingerprints of the user's code and contents of raw stores.
    """

    file: Path | None
    problem: str | None = None
    changes: tuple[Difference, ...] = ()


class SettingsNow:
    """Compares records with their configuration files; each file is read once.

    Paths of stores are relative to the working directory, as in the pipeline.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[Path, ...], _ConfigFile] = {}

    def of(self, record: Record) -> Settings:
        """The current settings of the configuration file, compared with ``record``."""
        file = record.config_file
        if file is None:
            return Settings(None, "written in Python")
        try:
            if record.config_files not in self._files:
                self._files[record.config_files] = _ConfigFile(*record.config_files)
            section = self._files[record.config_files].section(record)
        except QgpipeError as error:
            return Settings(file, str(error))
        if section is None:
            return Settings(file, "it is no longer asked for")
        now = as_recorded(section)
        return Settings(file, None, tuple(differences(record.content["section"], now)))


class _ConfigFile:
    """A configuration file, with those that are laid ``over`` it, resolved: its runs."""

    def __init__(self, file: Path, *over: Path):
        raw = load_config(file, *over)
        self.file = file
        self.folders = code_folders(raw, file, *over)
        runs = expand_runs(raw, files_text([file, *over]))
        self.asked = runs
        self.runs = {run.config["name"]: run for run in with_derived(runs)}

    def section(self, record: Record) -> dict[str, Any] | None:
        """The current section of the outputs of ``record``; None if they are no longer planned."""
        if STAGES[record.stage].target == "sweep":
            return comparison_section(self.asked, record.stage)
        output = next(iter(record.outputs))
        runs = {name: run.config for name, run in self.runs.items()}
        named = (name for name, config in runs.items() if _makes(config, record.stage, output))
        # The user may have given the run of the file another name since.
        run = next(named, next(iter(runs)) if len(self.asked) == 1 else None)
        if run is None:
            return None
        if record.stage == "preprocess":
            return self._data[run].sections.get(output.stem)
        if record.stage == "gather":
            return self._data[run].section()
        if record.stage == "predict":
            return self._prediction(runs[run], record, output.stem)
        if record.stage in ("evaluate", "apply"):
            planned = plan_evaluations(runs[run]).get(output.stem)
            if planned is None:
                return None
            return evaluation_section(runs[run], planned, self.folders, record.stage)
        return stage_section(runs[run], record.stage, self.folders)

    def _prediction(self, config: Config, record: Record, store: str) -> dict[str, Any] | None:
        """The current section of the table of ``store``; None if it is not planned."""
        model = next(path for path, checksum in record.inputs.items() if not _is_store(checksum))
        if model.parent.resolve() == self.file.resolve().parent:  # made by a command
            files = [str(path) for path, checksum in record.inputs.items() if _is_store(checksum)]
            asked = {**record.content["section"]["predict"], "files": files}
            config = {**config, "predict": cast(PredictSection, asked)}
        planned = plan_predictions(config, self.folders)
        if store not in planned:
            return None
        return prediction_section(config, planned[store], self.folders)

    @cached_property
    def _data(self) -> dict[str, DataPlan]:
        configs = {name: run.config for name, run in self.runs.items()}
        return plan_data(configs, self.folders)


def _is_store(checksum: str) -> bool:
    return checksum.startswith("store:")


def _makes(config: Config, stage: str, output: Path) -> bool:
    """Whether ``output`` of ``stage`` belongs to the run of ``config``."""
    if (artifact := STAGES[stage].artifact) is not None:
        return artifact(config, output.stem).resolve() == output.resolve()
    return paths.run_folder(config).resolve() in output.resolve().parents
