from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "folds") as config:
    from qgpipe.report.figures.comparison_figures import write_cross_validation

    write_cross_validation(
        Path(config["training"]["path"]),
        snakemake.params.section["runs"],
        Path(snakemake.output.table),
        Path(snakemake.output.figure),
    )
