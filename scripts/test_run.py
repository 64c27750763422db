from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "test") as config:
    from qgpipe.training.run import test_run

    test_run(
        config,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.input.model),
        Path(snakemake.output.metrics).parent,
    )
