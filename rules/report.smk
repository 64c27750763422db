rule report:
    """Draw the figures."""
    input:
        [paths.figure(settings, run, name) for run in plan.runs for name in FIGURES],
    localrule: True


rule plot_run:
    """Draw the figures of a run from its result files."""
    input:
        unpack(plan.described),
        history=paths.history(settings, "{run}"),
        summary=paths.summary(settings, "{run}"),
        metrics=paths.metrics(settings, "{run}"),
        predictions=paths.predictions(settings, "{run}"),
    output:
        [
            report(
                paths.figure(settings, "{run}", name),
                caption=f"captions/{name}.rst",
                category=figure.category,
                labels={"run": "{run}", **figure.labels},
            )
            for name, figure in FIGURES.items()
        ],
    log:
        paths.run_log(settings, "{run}", "report"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "report")
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 30,
    params:
        section=plan.section("report"),
        context=plan.context,
    message:
        "draw the figures of {wildcards.run}"
    script:
        "../scripts/plot_run.py"
