from pathlib import Path

from qgpipe.workflow.job import job

with job(snakemake, "report") as config:
    from qgpipe.report.page.page import write_page

    calibration = snakemake.input.get("calibration")
    write_page(
        Path(snakemake.input.history).parent,
        Path(snakemake.input.dataset),
        Path(snakemake.input.split),
        Path(snakemake.output[0]),
        [Path(file) for file in snakemake.input.evaluations],
        [Path(file) for file in snakemake.input.baseline_scores],
        Path(calibration) if calibration else None,
        explained=bool(snakemake.input.explanations),
        ablated=bool(snakemake.input.ablations),
        sensitivity=config["report"]["sensitivity"],
    )
