rule ablate:
    """Compare models with their ablations; nothing without `report.ablations`."""
    input:
        plan.ablated(),
    localrule: True


rule ablate_run:
    """Compare the model of a run with its ablations on the test set."""
    input:
        unpack(plan.prepared),
        metrics=paths.metrics(settings, "{run}"),
        predictions=paths.predictions(settings, "{run}"),
        ablations=plan.ablation_results,
    output:
        paths.ablations(settings, "{run}"),
    log:
        paths.run_log(settings, "{run}", "ablate"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "ablate")
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: attempt * 4000,
        runtime=lambda wildcards, attempt: attempt * 30,
    params:
        section=plan.section("ablate"),
        context=plan.context,
    message:
        "compare {wildcards.run} with its ablations"
    script:
        "../scripts/ablate_run.py"
