from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "ablate") as config:
    from qgpipe.explanation.ablations import compare_ablations

    compare_ablations(config, Path(snakemake.output[0]))
