rule split:
    """Assign every sample to training, validation or test."""
    input:
        plan.files(paths.split),
    localrule: True


rule split_samples:
    """Split the samples, by class, by group or at random."""
    input:
        unpack(plan.gathered),
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
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: resources.listing_megabytes(
            plan.planned_parts(wildcards), attempt
        ),
        runtime=lambda wildcards, attempt: resources.listing_minutes(
            plan.planned_parts(wildcards), attempt
        ),
    params:
        section=plan.section("split"),
        context=plan.context,
    message:
        "split the samples"
    script:
        "../scripts/split_samples.py"
