from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "ensemble") as config:
    from qgpipe.calibration.combine import combine_members

    combine_members(
        config,
        [Path(file).parent for file in snakemake.input.models],
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.output.model).parent,
    )
