"""Every path of every artifact, as functions of the resolved configuration.

This is the only place that knows them. ``part``, ``store`` and ``run`` may be Snakemake
wildcards in braces. Paths are relative to the working directory unless the configuration
names absolute folders.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from qgpipe.config.types import Config

STORE_ATTRIBUTES = ".zattrs"
TRAINING_SET = ".training_set"  # added to the name of the answers of baselines


def data_folder(config: Config) -> Path:
    """Folder of the preprocessed data."""
    return Path(config["data"]["output"])


def data_lock(config: Config) -> Path:
    """Lock of the data folder."""
    return data_folder(config) / ".lock"


def _folder(config: Config, kind: Literal["raw", "parts"]) -> Path:
    """Where ``raw`` stores or ``parts`` lie: runs of a sweep that differ in them have their own."""
    return data_folder(config) / (_variant(config, kind) or "")


def _variant(config: Config, kind: Literal["raw", "parts", "split"]) -> str | None:
    variant = config["data"].get("variant")
    return variant.get(kind) if variant else None


def raw_store(config: Config, store: str) -> Path:
    """A store written by the ``generate`` stage."""
    return _folder(config, "raw") / "raw" / f"{store}.zarr"


def store_attributes(store: Path) -> Path:
    """Attributes of a generated store: where they are, the store is complete."""
    return store / STORE_ATTRIBUTES


def part(config: Config, part: str) -> Path:
    """A part file: ``chunksize`` packed graphs."""
    return _folder(config, "parts") / "parts" / f"{part}.safetensors"


def dataset(config: Config) -> Path:
    """The list of parts with counts, checksums and names."""
    return _folder(config, "parts") / "dataset.json"


def split(config: Config) -> Path:
    """The samples of training, validation and test set."""
    folder, variant = _folder(config, "parts"), _variant(config, "split")
    return folder / "splits" / f"{variant}.json" if variant else folder / "split.json"


def baseline_answers(config: Config) -> Path:
    """Predictions of the baselines for the test set, shared by all runs with this data and split.

    The file lies beside the split that it belongs to.
    """
    folder, variant = _folder(config, "parts"), _variant(config, "split")
    name = f"baselines/{variant}" if variant else "baseline"
    return folder / f"{name}.safetensors"


def training_set(config: Config) -> Path:
    """What the baselines are fitted to; made with their answers, if there are further sets."""
    answers = baseline_answers(config)
    return answers.with_name(answers.name + TRAINING_SET)


def baseline_scores(config: Config, name: str) -> Path:
    """Scores of the baselines on the set ``name`` of ``evaluate.sets``, shared likewise."""
    folder, variant = _folder(config, "parts"), _variant(config, "split")
    return folder / "evaluate" / (variant or "") / f"{name}.json"


def provenance(artifact: Path) -> Path:
    """Where an artifact came from, if a job makes only this one, or this one first."""
    return artifact.with_name(f"{artifact.name}.provenance.json")


def stage_provenance(folder: Path, stage: str) -> Path:
    """Where the artifacts of a stage came from, if they are several."""
    return folder / f"{stage}.provenance.json"


def data_log(config: Config, stage: str, name: str | None = None) -> Path:
    """Log of a job of a stage of the data; ``name``: the part or store that it makes."""
    return _beside_data(config, "logs", stage, name, ".log")


def data_benchmark(config: Config, stage: str, name: str | None = None) -> Path:
    """Time and memory of a job of a stage of the data."""
    return _beside_data(config, "benchmarks", stage, name, ".tsv")


def _beside_data(config: Config, kind: str, stage: str, name: str | None, suffix: str) -> Path:
    folder = _folder(config, "raw" if stage == "generate" else "parts") / kind
    if stage in ("split", "baseline"):
        name = _variant(config, "split")
    elif stage == "apply":
        name = "/".join(filter(None, (_variant(config, "split"), name)))
    return folder / stage / f"{name}{suffix}" if name else folder / f"{stage}{suffix}"


def run_folder(config: Config, run: str | None = None) -> Path:
    """Folder of a run; its name is the configuration's unless ``run`` is given."""
    return Path(config["training"]["path"]) / (run or config["name"])


def run_lock(config: Config, run: str | None = None) -> Path:
    """Lock of a run folder against other runs of the workflow."""
    return run_folder(config, run) / ".lock"


def training_lock(folder: Path) -> Path:
    """Lock of a training, within the ``folder`` of its run or trial."""
    return folder / ".training.lock"


def run_config(config: Config, run: str | None = None) -> Path:
    """The resolved configuration of a run, tags kept."""
    return run_folder(config, run) / "config.yaml"


def model(config: Config, run: str | None = None) -> Path:
    """Best weights, and what is needed to rebuild the model."""
    return run_folder(config, run) / "model.pt"


def calibrated(config: Config, run: str | None = None) -> Path:
    """The best model with the temperature and the outlier score that were fitted afterwards."""
    return run_folder(config, run) / "calibrated.pt"


def calibration(config: Config, run: str | None = None) -> Path:
    """What was fitted, and what it changes on the validation set."""
    return run_folder(config, run) / "calibration.json"


def final_model(config: Config) -> Path:
    """The model that is tested and applied to other data: ``calibrated``, if that is asked for."""
    testing = config["testing"]
    is_calibrated = testing["calibrate"] or testing["outlier_score"]
    return calibrated(config) if is_calibrated else model(config)


def history(config: Config, run: str | None = None) -> Path:
    """A row an epoch."""
    return run_folder(config, run) / "history.csv"


def summary(config: Config, run: str | None = None) -> Path:
    """Best epoch and score, why training stopped, throughput, versions."""
    return run_folder(config, run) / "summary.json"


def checkpoints(folder: Path, fingerprint: str) -> Path:
    """Training state that belongs to one trajectory, within the ``folder`` of a run."""
    return folder / "checkpoints" / fingerprint


def epoch_log(folder: Path) -> Path:
    """The history so far, within the ``folder`` of a run; a training that fails leaves it there."""
    return folder / "logs" / "history.csv"


def training_position(folder: Path) -> Path:
    """Progress of a running training, within the ``folder`` of a run, for the display."""
    return folder / "logs" / "position.json"


def tensorboard(folder: Path) -> Path:
    """Event files for TensorBoard, within the ``folder`` of a run."""
    return folder / "tensorboard"


def metrics(config: Config, run: str | None = None) -> Path:
    """Losses and metrics of the test set, with a baseline."""
    return run_folder(config, run) / "test" / "metrics.json"


def predictions(config: Config, run: str | None = None) -> Path:
    """A row for each graph of the test set."""
    return run_folder(config, run) / "test" / "predictions.csv"


def baselines(config: Config, run: str | None = None) -> Path:
    """The model of a run beside the baselines, and whether they differ by more than chance."""
    return run_folder(config, run) / "test" / "baselines.json"


def explanation(config: Config, run: str | None = None) -> Path:
    """Which features the model of a run needs, and how much of its outputs invariants explain."""
    return run_folder(config, run) / "explanation.json"


def ablations(config: Config, run: str | None = None) -> Path:
    """Test results of the ablations of a run, beside those of the run."""
    return run_folder(config, run) / "ablations.json"


def predicted(config: Config, run: str | None, store: str) -> Path:
    """A row for each graph of a store that the model of a run was applied to."""
    asked = config.get("predict")
    kind = asked.get("format", "csv") if asked else "csv"
    return run_folder(config, run) / "predict" / f"{store}.{kind}"


def evaluated(config: Config, run: str | None, name: str) -> Path:
    """Scores of the model of a run on the set ``name`` of ``evaluate.sets``."""
    return run_folder(config, run) / "evaluate" / f"{name}.json"


def exported(folder: Path) -> Path:
    """Folder of the exported model, within the ``folder`` of a run."""
    return folder / "export"


def exported_files(folder: Path) -> tuple[Path, Path, Path]:
    """Weights, configuration and program of an exported model, within the ``folder`` of exports."""
    return folder / "model.safetensors", folder / "model.json", folder / "program.pt2"


def figure(config: Config, run: str | None, name: str) -> Path:
    """A figure of a run."""
    return run_folder(config, run) / "figures" / f"{name}.svg"


def report(config: Config, run: str | None = None) -> Path:
    """Everything about a run on one page."""
    return run_folder(config, run) / "report.html"


def sweep_table(config: Config, name: str) -> Path:
    """Settings and results of the runs of the sweep ``name``."""
    return run_folder(config, name) / "sweep.csv"


def sweep_figure(config: Config, name: str) -> Path:
    """How the results of the runs of a sweep follow from their settings."""
    return run_folder(config, name) / "sweep.svg"


def folds_table(config: Config, name: str) -> Path:
    """Test results of every fold, with mean and deviation."""
    return run_folder(config, name) / "cross_validation.csv"


def folds_figure(config: Config, name: str) -> Path:
    """Test results of every fold."""
    return run_folder(config, name) / "cross_validation.svg"


def tuning(config: Config, run: str | None = None) -> Path:
    """Folder of what a run's study has found."""
    return run_folder(config, run) / "tune"


def studies(config: Config, run: str | None = None) -> Path:
    """Folder of the studies of a run: each in a folder named for what shapes its trials."""
    return tuning(config, run) / "studies"


def study_database(folder: Path) -> Path:
    """The study, in SQLite, within its ``folder``."""
    return folder / "study.db"


def trial(folder: Path, number: int) -> Path:
    """Folder of a trial, within the ``folder`` of its study."""
    return folder / "trials" / str(number)


def tuning_job(config: Config, run: str | None, worker: str) -> Path:
    """Result of one of the jobs that share the trials."""
    return tuning(config, run) / "jobs" / f"{worker}.json"


def best_config(config: Config, run: str | None = None) -> Path:
    """The user's configuration with the best values."""
    return tuning(config, run) / "best.yaml"


def trials_table(config: Config, run: str | None = None) -> Path:
    """A row for each trial."""
    return tuning(config, run) / "trials.csv"


def study_summary(config: Config, run: str | None = None) -> Path:
    """Counts of trials, the best one, importances of the parameters."""
    return tuning(config, run) / "study.json"


def trials_figure(config: Config, run: str | None = None) -> Path:
    """Value of each trial, and the best so far."""
    return tuning(config, run) / "trials.svg"


def importances_figure(config: Config, run: str | None = None) -> Path:
    """Importance of each tuned parameter for the values of the trials."""
    return tuning(config, run) / "importances.svg"


def run_log(config: Config, run: str | None, stage: str) -> Path:
    """Log of a stage of a run."""
    return run_folder(config, run) / "logs" / f"{stage}.log"


def run_benchmark(config: Config, run: str | None, stage: str) -> Path:
    """Time and memory of a stage of a run."""
    return run_folder(config, run) / "benchmarks" / f"{stage}.tsv"
