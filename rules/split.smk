rule split:
    """Assign every sample to training, validation or test."""
    input:
        parts=parts,
        dataset=paths.dataset(settings),
    output:
        split=paths.split(settings),
    log:
        paths.data_log(settings, "split"),
    benchmark:
        paths.data_benchmark(settings, "split")
    conda:
        "../envs/preprocess.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        section=plan.section("split"),
        context=lambda wildcards, threads: plan.context,
    message:
        "split the samples"
    script:
        "../scripts/split.py"
