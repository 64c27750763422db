from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "predict") as config:
    from qgpipe.prediction.predict import predict_store

    predict_store(
        config,
        Path(snakemake.input.model),
        snakemake.params.store,
        snakemake.wildcards.predicted,
        Path(snakemake.output[0]),
        processes=snakemake.threads,
    )
