# Stage 2 of the recipe: one run per arm and seed, from the same connector and the same conversations.

RUN = str(layout.run("{world}", "{data}", "{arm}", "{seed}"))


rule tune:
    input:
        lambda w: base_of(w.world),
        lambda w: data_of(w.world),
        layout.connector("{world}") / "manifest.json",
        layout.mixture("{world}", "{data}"),
    output:
        multiext(RUN + "/", "manifest.json", "connector.safetensors", "metrics.jsonl"),
        RUN + "/adapter/adapter_base.json",
    params:
        slice=slice_of("tune"),
    log:
        "logs/tune/{world}/{data}/{arm}/seed{seed}.log",
    threads: threads_of
    resources:
        gpu=lambda w: PARAMS.worlds[w.world].gpus,
    shell:
        "python -m stages.tune {params.slice} --threads {threads} 2>&1 | tee {log}"
