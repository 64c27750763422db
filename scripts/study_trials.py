from pathlib import Path

from qgpipe import paths
from qgpipe.workflow.job import job

with job(snakemake, "study") as config:
    from qgpipe.tuning.results import write_study

    write_study(
        snakemake.params.context["raw"],
        config,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        paths.studies(config),
        snakemake.params.context["file"],
        {name: Path(file) for name, file in snakemake.output.items()},
    )
