"""Applies the model of a finished run without Snakemake, with the same tables and records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from qgpipe.config.types import Config, PredictSection
from qgpipe.prediction.origin import require_own
from qgpipe.prediction.plan import plan_predictions, prediction_section
from qgpipe.prediction.predict import predict_store
from qgpipe.prediction.run_folder import RunFolder
from qgpipe.provenance.record import Job, recorded
from qgpipe.system.files import require_folder


def predict(
    run: RunFolder,
    stores: Sequence[Path],
    output: Path,
    options: Mapping[str, Any],
    processes: int = 1,
) -> Iterator[tuple[Path, int]]:
    """Write the tables of ``stores`` to the folder ``output``; yields each with its graph count.

    ``options``: ``embeddings`` and ``format``, as in the section ``predict`` of a configuration.
    Raises ``DataError`` or ``ConfigError`` before the first table if a store is missing or lacks an
    array, or if another table would be replaced; also ``UntrustedName``.
    """
    with run.imports(with_reading=True):
        yield from _predict(run, stores, output, options, processes)


def _predict(
    run: RunFolder, stores: Sequence[Path], output: Path, options: Mapping[str, Any], processes: int
) -> Iterator[tuple[Path, int]]:
    asked = {**options, "files": [str(store) for store in stores]}
    config: Config = {**run.config, "predict": cast(PredictSection, asked)}
    require_folder(output)
    planned = plan_predictions(config, run.code, "the stores on the command line")
    jobs = {}
    for name, store in planned.items():
        job = Job(
            stage="predict",
            outputs=[output / f"{name}.{options['format']}"],
            inputs=[run.model],
            section=prediction_section(config, store, run.code),
            store=(store.path, store.contents),
            device=config["training"]["device"],
        )
        jobs[name] = replace(job, config_file=require_own(job, run.config_file))
    for name, job in jobs.items():
        store, table = planned[name], job.outputs[0]
        with recorded(job):
            graphs = predict_store(config, run.model, store.path, name, table, processes)
        yield table, graphs
