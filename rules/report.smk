rule report:
    """Draw the figures and write the report."""
    input:
        plan.files(paths.report),
        [
            paths.figure(settings, run, name)
            for run in plan.runs
            for name in figures_of(settings)
        ],
    localrule: True


rule plot_run:
    """Draw the figures of a run from its result files."""
    input:
        unpack(plan.prepared),
        history=paths.history(settings, "{run}"),
        summary=paths.summary(settings, "{run}"),
        metrics=paths.metrics(settings, "{run}"),
        predictions=paths.predictions(settings, "{run}"),
        explanations=lambda wildcards: plan.explained(wildcards.run),
        ablations=lambda wildcards: plan.ablated(wildcards.run),
    output:
        [
            report(
                paths.figure(settings, "{run}", name),
                caption=f"captions/{name}.rst",
                category=figure.category,
                labels={"run": "{run}", **figure.labels},
            )
            for name, figure in figures_of(settings).items()
        ],
    log:
        paths.run_log(settings, "{run}", "plot"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "plot")
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 30,
    params:
        section=plan.section("plot"),
        context=plan.context,
    message:
        "draw the figures of {wildcards.run}"
    script:
        "../scripts/plot_run.py"


rule report_run:
    """Write the report of a run: one page with figures, tables and pictures."""
    input:
        unpack(plan.prepared),
        unpack(plan.compared),
        unpack(plan.calibrated),
        config=paths.run_config(settings, "{run}"),
        history=paths.history(settings, "{run}"),
        summary=paths.summary(settings, "{run}"),
        metrics=paths.metrics(settings, "{run}"),
        predictions=paths.predictions(settings, "{run}"),
        evaluations=lambda wildcards: plan.evaluated(wildcards.run),
        baseline_scores=lambda wildcards: plan.baseline_scores(wildcards.run),
        explanations=lambda wildcards: plan.explained(wildcards.run),
        ablations=lambda wildcards: plan.ablated(wildcards.run),
    output:
        report(
            paths.report(settings, "{run}"),
            caption="captions/report.rst",
            category="Report",
            labels={"run": "{run}"},
        ),
    log:
        paths.run_log(settings, "{run}", "report"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "report")
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 30,
    params:
        section=plan.section("report"),
        context=plan.context,
    message:
        "write the report of {wildcards.run}"
    script:
        "../scripts/report_run.py"
