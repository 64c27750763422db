from pathlib import Path

from qgpipe.logs import stage
from qgpipe.report.figures import plot_run

with stage(snakemake.log[0], snakemake.params.config["log_level"]):
    plot_run(
        Path(snakemake.input.history).parent,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.output[0]).parent,
    )
