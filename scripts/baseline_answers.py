from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "baseline") as config:
    from qgpipe.baselines.fit import fit_baselines

    fit_baselines(
        config,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.output.answers),
        snakemake.threads,
        *map(Path, snakemake.output.training_set),
    )
