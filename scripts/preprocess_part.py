from pathlib import Path

from qgpipe.data.preprocess import preprocess_part
from qgpipe.logs import stage

with stage(snakemake.log[0], snakemake.params.config["log_level"]):
    preprocess_part(
        snakemake.params.config,
        output=Path(snakemake.output[0]),
        processes=snakemake.threads,
        **snakemake.params.samples,
    )
