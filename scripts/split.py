from pathlib import Path

from qgpipe.job import job

with job(snakemake, "split") as config:
    from qgpipe.data.split_file import write_split

    write_split(config, Path(snakemake.input.dataset), Path(snakemake.output.split))
