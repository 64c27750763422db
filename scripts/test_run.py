from pathlib import Path

from qgpipe.logs import stage
from qgpipe.training.run import test_run

with stage(snakemake.log[0], snakemake.params.config["log_level"]):
    test_run(
        {**snakemake.params.config, "name": snakemake.wildcards.run},
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.input.model),
        Path(snakemake.output.metrics).parent,
    )
