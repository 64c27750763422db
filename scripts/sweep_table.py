from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "sweep") as config:
    from qgpipe.report.figures.comparison_figures import write_sweep

    write_sweep(
        Path(config["training"]["path"]),
        snakemake.params.section["runs"],
        Path(snakemake.output.table),
        Path(snakemake.output.figure),
    )
