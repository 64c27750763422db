rule sweep:
    """Compare the runs of a sweep or cross-validation; nothing for one run."""
    input:
        plan.summaries(),
    localrule: True


rule sweep_table:
    """Gather settings and results of all runs in a table and a figure."""
    input:
        summaries=plan.files(paths.summary),
        metrics=plan.files(paths.metrics),
        evaluations=plan.evaluated(),
        baseline_scores=plan.baseline_scores(),
        baselines=plan.baselines(paths.baselines),
    output:
        table=report(
            paths.sweep_table(settings, "{sweep}"),
            caption="captions/sweep.rst",
            category="Sweep",
            labels={"run": "{sweep}", "table": "runs"},
        ),
        figure=report(
            paths.sweep_figure(settings, "{sweep}"),
            caption="captions/sweep.rst",
            category="Sweep",
            labels={"run": "{sweep}", "figure": "Runs"},
        ),
    log:
        paths.run_log(settings, "{sweep}", "sweep"),
    benchmark:
        paths.run_benchmark(settings, "{sweep}", "sweep")
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=2000,
        runtime=30,
    params:
        section=plan.comparison("sweep"),
        context=plan.context,
    message:
        "compare the runs of {wildcards.sweep}"
    script:
        "../scripts/sweep_table.py"


rule folds_table:
    """Gather the results of all folds, with mean and deviation."""
    input:
        summaries=plan.files(paths.summary),
        metrics=plan.files(paths.metrics),
        evaluations=plan.evaluated(),
        baseline_scores=plan.baseline_scores(),
        baselines=plan.baselines(paths.baselines),
    output:
        table=report(
            paths.folds_table(settings, "{sweep}"),
            caption="captions/cross_validation.rst",
            category="Cross-validation",
            labels={"run": "{sweep}", "table": "folds"},
        ),
        figure=report(
            paths.folds_figure(settings, "{sweep}"),
            caption="captions/cross_validation.rst",
            category="Cross-validation",
            labels={"run": "{sweep}", "figure": "Folds"},
        ),
    log:
        paths.run_log(settings, "{sweep}", "folds"),
    benchmark:
        paths.run_benchmark(settings, "{sweep}", "folds")
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=2000,
        runtime=30,
    params:
        section=plan.comparison("folds"),
        context=plan.context,
    message:
        "compare the folds of {wildcards.sweep}"
    script:
        "../scripts/folds_table.py"
