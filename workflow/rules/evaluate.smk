# Prediction needs the model; scoring needs neither model nor GPU.

OUTCOME = layout.outcome("{world}", "{data}", "{arm}", "{seed}")


rule predict:
    input:
        lambda w: base_of(w.world),
        lambda w: data_of(w.world),
        layout.run("{world}", "{data}", "{arm}", "{seed}") / "manifest.json",
    output:
        multiext(str(OUTCOME / "predictions") + "/", "manifest.json", "predictions.jsonl"),
    params:
        slice=slice_of("predict"),
    log:
        "logs/predict/{world}/{data}/{arm}/seed{seed}.log",
    threads: threads_of
    resources:
        gpu=lambda w: PARAMS.worlds[w.world].gpus,
    shell:
        "python -m stages.predict {params.slice} --threads {threads} 2>&1 | tee {log}"


rule score:
    input:
        OUTCOME / "predictions" / "predictions.jsonl",
        lambda w: data_of(w.world),
    output:
        OUTCOME / "scores.json",
    params:
        slice=slice_of("score"),
    log:
        "logs/score/{world}/{data}/{arm}/seed{seed}.log",
    shell:
        "python -m stages.score {params.slice} 2>&1 | tee {log}"


rule attention:
    input:
        OUTCOME / "predictions" / "predictions.jsonl",
        lambda w: base_of(w.world),
        lambda w: data_of(w.world),
        layout.run("{world}", "{data}", "{arm}", "{seed}") / "manifest.json",
    output:
        OUTCOME / "attention.json",
    params:
        slice=slice_of("attention"),
    log:
        "logs/attention/{world}/{data}/{arm}/seed{seed}.log",
    threads: threads_of
    resources:
        gpu=lambda w: PARAMS.worlds[w.world].gpus,
    shell:
        "python -m stages.attention {params.slice} --threads {threads} 2>&1 | tee {log}"
