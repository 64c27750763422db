from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "generate") as config:
    from qgpipe.causets.writers.generate import generate_store

    generate_store(
        config["generate"],
        snakemake.wildcards.store,
        Path(snakemake.params.store),
        workers=snakemake.threads,
    )
