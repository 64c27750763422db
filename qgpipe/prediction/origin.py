"""Checks whether an existing table may be replaced.

A table belongs to a store and a model, and was made either by the workflow or by the command
``qgpipe predict``, according to its record. Records of the workflow name the configuration file it
was started with, records of the command that in the folder of the run.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from qgpipe import paths
from qgpipe.config.types import Config
from qgpipe.errors import DataError
from qgpipe.prediction.plan import PredictedStore, prediction_section
from qgpipe.provenance.record import Job, Record, as_recorded, find_record


def require_own(job: Job, run_config: Path) -> Path | None:
    """The configuration file for the record of the table that ``job``, of the command, makes.

    That is ``run_config``, of the run, or the recorded one if the workflow made the same table.
    Raises ``DataError`` if there is another table, or a file of unknown origin.
    """
    table, elsewhere = job.outputs[0], "name another folder with --output, or delete it"
    if not table.exists():
        return run_config
    record = find_record(table)
    if record is None:
        raise DataError(f"{table} is there, and no record of what it holds", remedy=elsewhere)
    assert job.store is not None
    if other := _other_source(record, job.store[0], job.inputs[0]):
        raise DataError(f"{table} holds {other}", remedy=elsewhere)
    if _is_of(record, run_config):
        return run_config
    if record.content["section"] != as_recorded(job.section):
        raise DataError(
            f"{table} was made by the workflow, with other settings or of an earlier state of "
            f"{job.store[0]}",
            remedy=elsewhere,
        )
    return record.config_file


def require_no_other(
    config: Config, stores: Mapping[str, PredictedStore], folders: Iterable[Path]
) -> None:
    """Raise ``DataError`` if the command made a different table at the path of one of the workflow.

    Snakemake only sees that the file exists, and would take it for its own.
    """
    folders, run_config = list(folders), paths.run_config(config)
    for name, store in stores.items():
        table = paths.predicted(config, None, name)
        record = find_record(table) if table.exists() else None
        if record is None or not _is_of(record, run_config):
            continue
        other = _other_source(record, store.path, paths.model(config))
        if record.content["section"] != as_recorded(prediction_section(config, store, folders)):
            other = other or f"what 'qgpipe predict' made of {store.path} in another way"
        if other:
            raise DataError(
                f"{table} holds {other}", remedy="move it, and the workflow makes its own"
            )


def _other_source(record: Record, store: Path, model: Path) -> str | None:
    """The store or model of the table, for a message; None if they are ``store`` and ``model``."""
    stores = [path for path, made in record.inputs.items() if made.startswith("store:")]
    models = [path for path, made in record.inputs.items() if not made.startswith("store:")]
    if [path.resolve() for path in stores] != [store.resolve()]:
        return f"predictions for {', '.join(map(str, stores))}, not for {store}"
    if [path.resolve() for path in models] != [model.resolve()]:
        return f"predictions of {', '.join(map(str, models))}, not of {model}"
    return None


def _is_of(record: Record, config_file: Path) -> bool:
    file = record.config_file
    return file is not None and file.resolve() == config_file.resolve()
