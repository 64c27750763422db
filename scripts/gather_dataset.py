from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "gather"):
    from qgpipe.data.preprocessing.part import write_dataset
    from qgpipe.provenance.same_stores import require_same_stores

    parts = [Path(part) for part in snakemake.input.part_files]
    require_same_stores(parts, snakemake.params.stores)
    write_dataset(parts, snakemake.params.stores, Path(snakemake.output[0]))
