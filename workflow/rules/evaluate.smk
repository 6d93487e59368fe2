# Prediction needs the model; scoring needs neither model nor GPU; a judge needs the network, so it is asked from here.

OUTCOME = layout.outcome("{world}", "{data}", "{arm}", "{seed}")
PART = layout.prediction_part("{world}", "{data}", "{arm}", "{seed}", "{part}")


rule predict_part:
    input:
        answered_by,
    output:
        PART / "manifest.json",
        PART / "predictions.jsonl",
    log:
        layout.log("predict_part", **RUN_WORDS, part="{part}"),
    threads: threads_of
    resources:
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        mem_mb=memory_of("predict_part"),
        runtime=runtime_of("predict_part"),
    params:
        slice=slice_of("predict_part"),
    shell:
        "python -m stages.predict {params.slice} --threads {threads} 2>&1 | tee {log}"


# Of parts it is their lines one behind the other, which takes no device.
rule predict:
    input:
        lambda w: list(parts_of(w)) or list(answered_by(w)),
    output:
        OUTCOME / "predictions" / "manifest.json",
        OUTCOME / "predictions" / "predictions.jsonl",
    log:
        layout.log("predict", **RUN_WORDS),
    threads: threads_of
    resources:
        gpu=lambda w: 0 if PLAN.parts(w.world) else gpus_of(w),
        gpu_model=lambda w: None if PLAN.parts(w.world) else gpu_model_of(w),
        mem_mb=memory_of("predict"),
        runtime=runtime_of("predict"),
    params:
        slice=slice_of("predict"),
    shell:
        "python -m stages.predict {params.slice} --threads {threads} 2>&1 | tee {log}"


rule judge:
    input:
        OUTCOME / "predictions" / "predictions.jsonl",
    output:
        OUTCOME / "verdicts.json",
    log:
        layout.log("judge", **RUN_WORDS),
    localrule: True
    params:
        slice=slice_of("judge"),
    shell:
        "python -m stages.judge {params.slice} 2>&1 | tee {log}"


rule score:
    input:
        OUTCOME / "predictions" / "predictions.jsonl",
        asked_of,
        verdicts_of,
    output:
        OUTCOME / "scores.json",
    log:
        layout.log("score", **RUN_WORDS),
    params:
        slice=slice_of("score"),
    shell:
        "python -m stages.score {params.slice} 2>&1 | tee {log}"


rule submit:
    input:
        OUTCOME / "predictions" / "predictions.jsonl",
        asked_of,
    output:
        OUTCOME / "submissions" / "manifest.json",
    log:
        layout.log("submit", **RUN_WORDS),
    params:
        slice=slice_of("submit"),
    shell:
        "python -m stages.submit {params.slice} 2>&1 | tee {log}"
