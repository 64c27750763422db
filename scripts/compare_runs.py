from pathlib import Path

from qgpipe.job import job

with job(snakemake, "sweep") as config:
    from qgpipe.report.comparison import write_sweep

    write_sweep(
        Path(config["training"]["path"]),
        snakemake.params.section["runs"],
        Path(snakemake.output.table),
        Path(snakemake.output.figure),
    )
