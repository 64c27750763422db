from pathlib import Path

from qgpipe import paths
from qgpipe.workflow.job import job

with job(snakemake, "tune") as config:
    from qgpipe.tuning.trials import run_trials

    run_trials(
        snakemake.params.context["raw"],
        config,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        paths.studies(config),
        Path(snakemake.output[0]),
    )
