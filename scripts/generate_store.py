from pathlib import Path

from qgpipe.causets.stores import generate_store
from qgpipe.logs import stage

with stage(snakemake.log[0], snakemake.params.config["log_level"]):
    generate_store(
        snakemake.params.config["generate"],
        snakemake.wildcards.store,
        Path(snakemake.output[0]),
        workers=snakemake.threads,
    )
