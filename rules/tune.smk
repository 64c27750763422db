rule tune:
    """Search for the best settings; nothing without `tune:`."""
    input:
        plan.studied(),
    localrule: True


rule tune_trials:
    """Train trials of a study until there are enough, as one of its jobs."""
    input:
        unpack(plan.prepared),
    output:
        paths.tuning_job(settings, "{run}", "{worker}"),
    log:
        paths.run_log(settings, "{run}", "tune/{worker}"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "tune/{worker}")
    conda:
        "../envs/tune.yaml"
    threads: lambda wildcards: resources.training_threads(settings, plan.planned_parts(wildcards))
    resources:
        **resources.training_tasks(settings),
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards: resources.training_megabytes(
            plan.planned_parts(wildcards)
        ),
        runtime=24 * 60,
        gpu=lambda wildcards: resources.training_gpus(settings, workflow.local_exec),
    params:
        section=plan.section("tune"),
        context=plan.tuning_context,
    message:
        "tune {wildcards.run}, job {wildcards.worker}"
    script:
        "../scripts/tune_trials.py"


rule study_trials:
    """Write the best configuration of a study, a table and figures of its trials."""
    input:
        unpack(plan.prepared),
        jobs=plan.tuning_jobs,
    output:
        best=paths.best_config(settings, "{run}"),
        trials=report(
            paths.trials_table(settings, "{run}"),
            caption="captions/tune.rst",
            category="Tuning",
            labels={"run": "{run}", "table": "trials"},
        ),
        summary=paths.study_summary(settings, "{run}"),
        trials_figure=report(
            paths.trials_figure(settings, "{run}"),
            caption="captions/tune.rst",
            category="Tuning",
            labels={"run": "{run}", "figure": "Trials"},
        ),
        importances_figure=report(
            paths.importances_figure(settings, "{run}"),
            caption="captions/tune.rst",
            category="Tuning",
            labels={"run": "{run}", "figure": "Importances"},
        ),
    log:
        paths.run_log(settings, "{run}", "study"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "study")
    conda:
        "../envs/tune.yaml"
    threads: 1
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=2000,
        runtime=30,
    params:
        section=plan.section("study"),
        context=plan.tuning_context,
    message:
        "gather the study of {wildcards.run}"
    script:
        "../scripts/study_trials.py"
