from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "preprocess") as config:
    from qgpipe.data.preprocessing.part import preprocess_part

    preprocess_part(
        config,
        snakemake.params.store,
        output=Path(snakemake.output[0]),
        processes=snakemake.threads,
        **snakemake.params.samples,
    )
