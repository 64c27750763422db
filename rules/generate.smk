rule generate:
    """Make raw causal sets; nothing without `generate:` in the configuration."""
    localrule: True
    input:
        plan.generated_stores(),


rule generate_store:
    """Write one zarr store of generated causal sets, each with a seed of its own."""
    output:
        directory(paths.raw_store(settings, "{store}")),
    params:
        section=plan.section("generate"),
        config=lambda wildcards, threads: settings,
    log:
        paths.data_log(settings, "generate", "{store}"),
    benchmark:
        paths.data_benchmark(settings, "generate", "{store}")
    threads: 8
    resources:
        mem_mb=4000,
        runtime=120,
    conda:
        "../envs/preprocess.yaml"
    message:
        "generate {wildcards.store}"
    script:
        "../scripts/generate_store.py"
