from pathlib import Path

from qgpipe.logs import stage
from qgpipe.training.run import train_run

with stage(snakemake.log[0], snakemake.params.config["log_level"]):
    train_run(
        {**snakemake.params.config, "name": snakemake.wildcards.run},
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.output.model).parent,
    )
