from pathlib import Path

from qgpipe.job import job

with job(snakemake, "generate") as config:
    from qgpipe.causets.stores import generate_store

    generate_store(
        config["generate"],
        snakemake.wildcards.store,
        Path(snakemake.output[0]).parent,
        workers=snakemake.threads,
    )
