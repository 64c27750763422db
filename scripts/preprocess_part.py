from pathlib import Path

from qgpipe.data.preprocess import preprocess_part
from qgpipe.logs import stage

part = snakemake.params.part
with stage(snakemake.log[0], snakemake.params.config["log_level"]):
    preprocess_part(
        snakemake.params.config,
        part.path,
        part.store,
        part.start,
        part.stop,
        Path(snakemake.output[0]),
        role=part.role,
        processes=snakemake.threads,
    )
