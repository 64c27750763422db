from pathlib import Path

from qgpipe.job import job

with job(snakemake, "gather"):
    from qgpipe.data.preprocess import write_dataset

    write_dataset(
        [Path(part) for part in snakemake.input.parts],
        snakemake.params.stores,
        Path(snakemake.output[0]),
    )
