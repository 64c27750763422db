rule generate:
    """Make raw causal sets; nothing without `generate:` in the configuration."""
    input:
        plan.generated_stores(),
    localrule: True


rule generate_store:
    """Write one zarr store of generated causal sets, each with a seed of its own."""
    output:
        paths.store_attributes(paths.raw_store(settings, "{store}")),
    log:
        paths.data_log(settings, "generate", "{store}"),
    benchmark:
        paths.data_benchmark(settings, "generate", "{store}")
    conda:
        "../envs/preprocess.yaml"
    threads: 8
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: resources.generate_minutes(
            plan.planned_parts(wildcards), attempt
        ),
    params:
        section=plan.section("generate"),
        context=plan.context,
        store=plan.generated_store,
    message:
        "generate {wildcards.store}"
    script:
        "../scripts/generate_store.py"
