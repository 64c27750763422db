from pathlib import Path

from qgpipe.causets.stores import generate_store
from qgpipe.job import job

with job(snakemake, "generate") as config:
    generate_store(
        config["generate"],
        snakemake.wildcards.store,
        Path(snakemake.output[0]),
        workers=snakemake.threads,
    )
