# What is measured of trained runs beside their scores.


rule attention:
    input:
        OUTCOME / "predictions" / "predictions.jsonl",
        lambda w: base_of(w.world),
        asked_of,
        encoder_of,
        start_of,
        layout.run("{world}", "{data}", "{arm}", "{seed}") / "manifest.json",
    output:
        OUTCOME / "attention" / "manifest.json",
        OUTCOME / "attention" / "attention.json",
    log:
        layout.log("attention", **RUN_WORDS),
    threads: threads_of
    resources:
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        mem_mb=memory_of("attention"),
        runtime=runtime_of("attention"),
    params:
        slice=slice_of("attention"),
    shell:
        "python -m stages.attention {params.slice} --threads {threads} 2>&1 | tee {log}"


rule analysis:
    input:
        answered_by,
        lambda w: data_of(w.world, PLAN.mixture_datasets(w.world, w.data)),
        layout.mixture("{world}", "{data}"),
        OUTCOME / "predictions" / "predictions.jsonl",
    output:
        layout.analysis("{world}", "{data}", "{arm}", "{seed}", "{analysis}") / "manifest.json",
    log:
        layout.log("analysis", **RUN_WORDS, analysis="{analysis}"),
    threads: threads_of
    resources:
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        mem_mb=memory_of("analysis"),
        runtime=runtime_of("analysis"),
    params:
        slice=slice_of("analysis"),
    shell:
        "python -m stages.{wildcards.analysis} {params.slice} --threads {threads} 2>&1 | tee {log}"


# Times are compared within one process, and mean nothing beside other work.
rule overhead:
    input:
        lambda w: base_of(world_of(w)),
        lambda w: data_of(world_of(w), PLAN.asked_datasets(world_of(w))),
        overhead_of,
    output:
        layout.overhead("{experiment}"),
    log:
        layout.log("overhead", experiment="{experiment}"),
    threads: undisturbed
    resources:
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        mem_mb=memory_of("overhead"),
        runtime=runtime_of("overhead"),
    params:
        slice=slice_of("overhead"),
    shell:
        "python -m stages.overhead {params.slice} --threads {threads} 2>&1 | tee {log}"
