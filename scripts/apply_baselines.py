from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "apply") as config:
    from qgpipe.evaluation.apply_baselines import apply_baselines

    apply_baselines(
        config,
        Path(snakemake.input.training_set),
        snakemake.wildcards.evaluated,
        Path(snakemake.output[0]),
        snakemake.threads,
    )
