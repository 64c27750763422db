rule explain:
    """Measure what the best model's answers rest on; nothing without `report.explain`."""
    input:
        plan.explained(),
    localrule: True


rule explain_run:
    """Permute features of the test set, and fit invariants to the outputs of a model."""
    input:
        unpack(plan.prepared),
        model=plan.final_model,
    output:
        paths.explanation(settings, "{run}"),
    log:
        paths.run_log(settings, "{run}", "explain"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "explain")
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
        section=plan.section("explain"),
        context=plan.context,
    message:
        "explain {wildcards.run}"
    script:
        "../scripts/explain_run.py"
