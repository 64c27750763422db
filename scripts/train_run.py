from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "train") as config:
    from qgpipe.training.run import train_run

    train_run(
        config,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.output.model).parent,
    )
