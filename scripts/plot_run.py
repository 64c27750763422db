from pathlib import Path

from qgpipe.job import job
from qgpipe.report.figures import plot_run

with job(snakemake, "report"):
    plot_run(
        Path(snakemake.input.history).parent,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.output[0]).parent,
    )
