from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "evaluate") as config:
    from qgpipe.evaluation.evaluate import evaluate_set

    evaluate_set(
        config,
        Path(snakemake.input.model),
        snakemake.wildcards.evaluated,
        Path(snakemake.output[0]),
        processes=snakemake.threads,
    )
