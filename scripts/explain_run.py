from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "explain") as config:
    from qgpipe.explanation.explain import explain_run

    explain_run(
        config,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.input.model),
        Path(snakemake.output[0]),
        snakemake.threads,
    )
