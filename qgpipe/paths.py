"""Every path of every artifact, as functions of the resolved configuration.

This is the only place that knows them. ``part``, ``store`` and ``run`` may be Snakemake
wildcards in braces. Paths are relative to the working directory unless the configuration
names absolute folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Config = Mapping[str, Any]


def data_folder(config: Config) -> Path:
    """Folder of the preprocessed data."""
    return Path(config["data"]["output"])


def data_lock(config: Config) -> Path:
    """Lock of the data folder."""
    return data_folder(config) / ".lock"


def raw_store(config: Config, store: str) -> Path:
    """A store written by the ``generate`` stage."""
    return data_folder(config) / "raw" / f"{store}.zarr"


def store_attributes(store: Path) -> Path:
    """Attributes of a generated store: where they are, the store is complete."""
    return store / ".zattrs"


def part(config: Config, part: str) -> Path:
    """A part file: ``chunksize`` packed graphs."""
    return data_folder(config) / "parts" / f"{part}.safetensors"


def dataset(config: Config) -> Path:
    """The list of parts with counts, checksums and names."""
    return data_folder(config) / "dataset.json"


def split(config: Config) -> Path:
    """The samples of training, validation and test set."""
    return data_folder(config) / "split.json"


def provenance(artifact: Path) -> Path:
    """Where an artifact came from, if a job makes only this one."""
    return artifact.with_name(f"{artifact.name}.provenance.json")


def stage_provenance(folder: Path, stage: str) -> Path:
    """Where the artifacts of a stage came from, if they are several."""
    return folder / f"{stage}.provenance.json"


def data_log(config: Config, *names: str) -> Path:
    """Log of a job of the data stages."""
    return data_folder(config) / "logs" / Path(*names).with_suffix(".log")


def data_benchmark(config: Config, *names: str) -> Path:
    """Time and memory of a job of the data stages."""
    return data_folder(config) / "benchmarks" / Path(*names).with_suffix(".tsv")


def run_folder(config: Config, run: str | None = None) -> Path:
    """Folder of a run; its name is the configuration's unless ``run`` is given."""
    return Path(config["training"]["path"]) / (run or config["name"])


def run_lock(config: Config, run: str | None = None) -> Path:
    """Lock of a run folder against other runs of the workflow."""
    return run_folder(config, run) / ".lock"


def run_config(config: Config, run: str | None = None) -> Path:
    """The resolved configuration of a run, tags kept."""
    return run_folder(config, run) / "config.yaml"


def model(config: Config, run: str | None = None) -> Path:
    """Best weights, and what is needed to rebuild the model."""
    return run_folder(config, run) / "model.pt"


def history(config: Config, run: str | None = None) -> Path:
    """A row an epoch."""
    return run_folder(config, run) / "history.csv"


def summary(config: Config, run: str | None = None) -> Path:
    """Best epoch and score, why training stopped, throughput, versions."""
    return run_folder(config, run) / "summary.json"


def checkpoints(folder: Path, fingerprint: str) -> Path:
    """Training state that belongs to one trajectory, within the ``folder`` of a run."""
    return folder / "checkpoints" / fingerprint


def metrics(config: Config, run: str | None = None) -> Path:
    """Losses and metrics of the test set, with a baseline."""
    return run_folder(config, run) / "test" / "metrics.json"


def predictions(config: Config, run: str | None = None) -> Path:
    """A row for each graph of the test set."""
    return run_folder(config, run) / "test" / "predictions.csv"


def figure(config: Config, run: str | None, name: str) -> Path:
    """A figure of a run."""
    return run_folder(config, run) / "figures" / f"{name}.svg"


def run_log(config: Config, run: str | None, stage: str) -> Path:
    """Log of a stage of a run."""
    return run_folder(config, run) / "logs" / f"{stage}.log"


def run_benchmark(config: Config, run: str | None, stage: str) -> Path:
    """Time and memory of a stage of a run."""
    return run_folder(config, run) / "benchmarks" / f"{stage}.tsv"
