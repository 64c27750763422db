from pathlib import Path

from qgpipe.data.preprocess import write_dataset
from qgpipe.logs import stage

with stage(snakemake.log[0], snakemake.params.config["log_level"]):
    write_dataset(
        [Path(part) for part in snakemake.input.parts],
        snakemake.params.section["stores"],
        Path(snakemake.output[0]),
    )
