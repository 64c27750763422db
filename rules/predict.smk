rule predict:
    """Apply the best model to further stores; nothing without `predict:`."""
    input:
        plan.tables(),
    localrule: True


rule predict_store:
    """Write a row for each graph of a store: outputs, class, embeddings."""
    input:
        plan.generated_input,
        model=plan.final_model,
    output:
        paths.predicted(settings, "{run}", "{predicted}"),
    log:
        paths.run_log(settings, "{run}", "predict/{predicted}"),
    benchmark:
        paths.run_benchmark(settings, "{run}", "predict/{predicted}")
    conda:
        "../envs/predict.yaml"
    threads: 8
    resources:
        shell_exec=resources.SCRIPT_SHELL,
        mem_mb=lambda wildcards, attempt: resources.prediction_megabytes(
            plan.predicted_store(wildcards), settings["data"]["chunksize"], attempt
        ),
        runtime=lambda wildcards, attempt: resources.prediction_minutes(
            plan.predicted_store(wildcards), attempt
        ),
        gpu=lambda wildcards: resources.gpus(settings, workflow.local_exec),
    params:
        section=plan.prediction_section,
        context=plan.context,
        store=plan.store_path,
    message:
        "apply {wildcards.run} to {wildcards.predicted}"
    script:
        "../scripts/predict_store.py"
