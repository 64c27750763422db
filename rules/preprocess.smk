rule preprocess:
    """Pack all causal sets."""
    input:
        plan.files(paths.dataset),
        plan.part_files(),
    localrule: True


rule preprocess_part:
    """Read, check and pack one range of samples of one raw store."""
    input:
        plan.raw_store,
    output:
        paths.part(settings, "{part}"),
    log:
        paths.data_log(settings, "preprocess", "{part}"),
    benchmark:
        paths.data_benchmark(settings, "preprocess", "{part}")
    conda:
        "../envs/preprocess.yaml"
    threads: settings["data"]["n_processes"]
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: resources.preprocess_megabytes(
            plan.planned_part(wildcards), attempt
        ),
        runtime=lambda wildcards, attempt: resources.preprocess_minutes(
            plan.planned_part(wildcards), attempt
        ),
    params:
        section=plan.part_section,
        context=plan.context,
        samples=plan.samples,
        store=plan.part_store,
    message:
        "preprocess {wildcards.part}"
    script:
        "../scripts/preprocess_part.py"


rule gather_dataset:
    """Gather the parts: counts, checksums, feature and class names."""
    input:
        part_files=plan.parts,
    output:
        paths.dataset(settings),
    log:
        paths.data_log(settings, "gather"),
    benchmark:
        paths.data_benchmark(settings, "gather")
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
        section=plan.section("gather"),
        context=plan.context,
        stores=plan.stores,
    message:
        "gather the parts"
    script:
        "../scripts/gather_dataset.py"
