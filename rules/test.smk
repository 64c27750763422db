rule test:
    """Test the best model."""
    localrule: True
    input:
        paths.metrics(settings),


rule test_run:
    """Evaluate the best model of a run on the test set."""
    input:
        dataset=paths.dataset(settings),
        split=paths.split(settings),
        model=paths.model(settings, "{run}"),
    output:
        metrics=paths.metrics(settings, "{run}"),
        predictions=report(
            paths.predictions(settings, "{run}"),
            caption="../qgpipe/report/captions/predictions.rst",
            category="Tables",
            labels={"run": "{run}", "table": "predictions"},
        ),
    params:
        section=plan.section("test"),
        config=lambda wildcards, threads: settings,
    log:
        paths.run_log(settings, "{run}", "test"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "test")
    threads: 8
    resources:
        mem_mb=8000,
        runtime=120,
        gpu=0 if settings["training"]["device"] == "cpu" else 1,
    conda:
        "../envs/train.yaml"
    message:
        "test {wildcards.run}"
    script:
        "../scripts/test_run.py"
