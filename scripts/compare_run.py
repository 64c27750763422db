from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "compare") as config:
    from qgpipe.baselines.compare import compare_run

    compare_run(config, Path(snakemake.input.answers), Path(snakemake.output[0]))
