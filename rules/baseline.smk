rule baseline:
    """Compare the model with simple methods that are fitted to the same data."""
    input:
        plan.baselines(paths.baseline_answers, paths.baselines),
    localrule: True


rule baseline_answers:
    """Fit simple methods to the training set, and let them answer for the test set."""
    input:
        unpack(plan.prepared),
    output:
        answers=paths.baseline_answers(settings),
        training_set=plan.training_set(),
    log:
        paths.data_log(settings, "baseline"),
    benchmark:
        paths.data_benchmark(settings, "baseline")
    conda:
        "../envs/train.yaml"
    threads: lambda wildcards: resources.baseline_threads(plan.planned_parts(wildcards))
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards: resources.training_megabytes(
            plan.planned_parts(wildcards)
        ),
        runtime=lambda wildcards, attempt: resources.evaluation_minutes(
            plan.planned_parts(wildcards), attempt
        ),
    params:
        section=plan.section("baseline"),
        context=plan.context,
    message:
        "fit the baselines"
    script:
        "../scripts/baseline_answers.py"


rule compare_run:
    """Compare the model of a run with the baselines on the test set."""
    input:
        unpack(plan.answered),
        metrics=paths.metrics(settings, "{run}"),
        predictions=paths.predictions(settings, "{run}"),
    output:
        paths.baselines(settings, "{run}"),
    log:
        paths.run_log(settings, "{run}", "compare"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "compare")
    priority: 1  # the report waits for it
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 30,
    params:
        section=plan.section("compare"),
        context=plan.context,
    message:
        "compare {wildcards.run} with the baselines"
    script:
        "../scripts/compare_run.py"
