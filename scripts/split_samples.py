from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "split") as config:
    from qgpipe.data.splits.split_file import write_split

    write_split(config, Path(snakemake.input.dataset), Path(snakemake.output.split))
