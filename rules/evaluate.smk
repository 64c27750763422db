rule evaluate:
    """Evaluate models and baselines on further sets; nothing without `evaluate:`."""
    input:
        plan.evaluated(),
        plan.baseline_scores(),
    localrule: True


rule evaluate_set:
    """Scores of the best model of a run on a set of `evaluate.sets`."""
    input:
        model=plan.final_model,
    output:
        paths.evaluated(settings, "{run}", "{evaluated}"),
    log:
        paths.run_log(settings, "{run}", "evaluate/{evaluated}"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "evaluate/{evaluated}")
    conda:
        "../envs/predict.yaml"
    # Sets that are generated are small, and several are evaluated side by side.
    threads: lambda wildcards: 1 if plan.evaluated_set(wildcards).generated else 8
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: resources.prediction_megabytes(
            plan.evaluated_set(wildcards), settings["data"]["chunksize"], attempt
        ),
        runtime=lambda wildcards, attempt: resources.prediction_minutes(
            plan.evaluated_set(wildcards), attempt
        ),
        gpu=lambda wildcards: resources.gpus(settings, workflow.local_exec),
    params:
        section=plan.evaluation_section,
        context=plan.context,
        store=plan.evaluated_store,
    message:
        "evaluate {wildcards.run} on {wildcards.evaluated}"
    script:
        "../scripts/evaluate_set.py"


rule apply_baselines:
    """Scores of the baselines on a set of `evaluate.sets`."""
    input:
        training_set=paths.training_set(settings),
    output:
        paths.baseline_scores(settings, "{evaluated}"),
    log:
        paths.data_log(settings, "apply", "{evaluated}"),
    benchmark:
        paths.data_benchmark(settings, "apply", "{evaluated}")
    conda:
        "../envs/predict.yaml"
    threads: lambda wildcards: 1 if plan.evaluated_set(wildcards).generated else 4
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: resources.prediction_megabytes(
            plan.evaluated_set(wildcards), settings["data"]["chunksize"], attempt
        ),
        runtime=lambda wildcards, attempt: resources.prediction_minutes(
            plan.evaluated_set(wildcards), attempt
        ),
    params:
        section=plan.baseline_scores_section,
        context=plan.context,
        store=plan.evaluated_store,
    message:
        "apply the baselines to {wildcards.evaluated}"
    script:
        "../scripts/apply_baselines.py"
