from pathlib import Path

from qgpipe.data.split import write_split
from qgpipe.job import job

with job(snakemake, "split") as config:
    write_split(config, Path(snakemake.input.dataset), Path(snakemake.output.split))
