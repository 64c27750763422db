from pathlib import Path

from qgpipe.data.split import write_split
from qgpipe.logs import stage

with stage(snakemake.log[0], snakemake.params.config["log_level"]):
    write_split(
        snakemake.params.config, Path(snakemake.input.dataset), Path(snakemake.output.split)
    )
