rule split:
    """Assign every sample to training, validation or test."""
    input:
        dataset=paths.dataset(settings),
    output:
        split=paths.split(settings),
    params:
        section=plan.section("split"),
        config=lambda wildcards, threads: settings,
    log:
        paths.data_log(settings, "split"),
    benchmark:
        paths.data_benchmark(settings, "split")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    conda:
        "../envs/preprocess.yaml"
    message:
        "split the samples"
    script:
        "../scripts/split.py"
