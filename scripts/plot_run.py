from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "plot") as config:
    from qgpipe.report.figures.run_figures import plot_run

    plot_run(
        Path(snakemake.input.history).parent,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.output[0]).parent,
        [Path(file).stem for file in snakemake.output],
        config["report"]["sensitivity"],
    )
