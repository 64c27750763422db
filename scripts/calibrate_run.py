from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "calibrate") as config:
    from qgpipe.calibration.calibrate import calibrate_run

    calibrate_run(
        config,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.input.model),
        Path(snakemake.output.model),
        Path(snakemake.output.calibration),
    )
