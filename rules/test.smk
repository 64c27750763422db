rule test:
    """Test the best model."""
    input:
        plan.files(paths.metrics, paths.predictions),
    localrule: True


rule test_run:
    """Evaluate the best model of a run on the test set."""
    input:
        unpack(plan.prepared),
        model=plan.final_model,
    output:
        metrics=paths.metrics(settings, "{run}"),
        predictions=report(
            paths.predictions(settings, "{run}"),
            caption="captions/predictions.rst",
            category="Tables",
            labels={"run": "{run}", "table": "predictions"},
        ),
    log:
        paths.run_log(settings, "{run}", "test"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "test")
    conda:
        "../envs/train.yaml"
    threads: lambda wildcards: resources.training_threads(settings, plan.planned_parts(wildcards))
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards: resources.training_megabytes(
            plan.planned_parts(wildcards)
        ),
        runtime=lambda wildcards, attempt: resources.evaluation_minutes(
            plan.planned_parts(wildcards), attempt
        ),
        gpu=lambda wildcards: resources.gpus(settings, workflow.local_exec),
    params:
        section=plan.section("test"),
        context=plan.context,
    message:
        "test {wildcards.run}"
    script:
        "../scripts/test_run.py"


rule calibrate_run:
    """Fit the temperature and the outlier score of the best model to the validation set."""
    input:
        unpack(plan.prepared),
        model=paths.model(settings, "{run}"),
    output:
        model=paths.calibrated(settings, "{run}"),
        calibration=paths.calibration(settings, "{run}"),
    log:
        paths.run_log(settings, "{run}", "calibrate"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "calibrate")
    conda:
        "../envs/train.yaml"
    threads: lambda wildcards: resources.training_threads(settings, plan.planned_parts(wildcards))
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards: resources.training_megabytes(
            plan.planned_parts(wildcards)
        ),
        runtime=lambda wildcards, attempt: resources.evaluation_minutes(
            plan.planned_parts(wildcards), attempt
        ),
        gpu=lambda wildcards: resources.gpus(settings, workflow.local_exec),
    params:
        section=plan.section("calibrate"),
        context=plan.context,
    message:
        "calibrate {wildcards.run}"
    script:
        "../scripts/calibrate_run.py"
