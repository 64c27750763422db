rule train:
    """Train the model."""
    input:
        plan.files(paths.run_config, paths.model, paths.history, paths.summary),
    localrule: True


rule train_run:
    """Train one run, from its last checkpoint if there is one."""
    input:
        unpack(plan.prepared),
    output:
        config=paths.run_config(settings, "{run}"),
        model=paths.model(settings, "{run}"),
        history=report(
            paths.history(settings, "{run}"),
            caption="captions/history.rst",
            category="Tables",
            labels={"run": "{run}", "table": "training history"},
        ),
        summary=paths.summary(settings, "{run}"),
    log:
        paths.run_log(settings, "{run}", "train"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "train")
    conda:
        "../envs/train.yaml"
    threads: lambda wildcards: resources.training_threads(settings, plan.planned_parts(wildcards))
    resources:
        **resources.training_tasks(settings),
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards: resources.training_megabytes(
            plan.planned_parts(wildcards)
        ),
        runtime=24 * 60,
        gpu=lambda wildcards: resources.training_gpus(settings, workflow.local_exec),
    params:
        section=plan.section("train"),
        context=plan.context,
    message:
        "train {wildcards.run}"
    script:
        "../scripts/train_run.py"


ruleorder: ensemble_run > train_run


rule ensemble_run:
    """Combine the members of an ensemble, which are runs with other seeds, into one model."""
    input:
        unpack(plan.prepared),
        unpack(plan.members),
    output:
        config=paths.run_config(settings, "{run}"),
        model=paths.model(settings, "{run}"),
        history=report(
            paths.history(settings, "{run}"),
            caption="captions/history.rst",
            category="Tables",
            labels={"run": "{run}", "table": "training history"},
        ),
        summary=paths.summary(settings, "{run}"),
    log:
        paths.run_log(settings, "{run}", "ensemble"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "ensemble")
    wildcard_constraints:
        run=plan.having("member"),
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards: resources.training_megabytes(
            plan.planned_parts(wildcards)
        ),
        runtime=lambda wildcards, attempt: attempt * 30,
    params:
        section=plan.section("ensemble"),
        context=plan.context,
    message:
        "combine the members of {wildcards.run}"
    script:
        "../scripts/ensemble_run.py"
