from pathlib import Path

from qgpipe.job import job

with job(snakemake, "preprocess") as config:
    from qgpipe.data.preprocess import preprocess_part

    preprocess_part(
        config,
        output=Path(snakemake.output[0]),
        processes=snakemake.threads,
        **snakemake.params.samples,
    )
