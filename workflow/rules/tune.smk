# Stage 2 of the recipe: one run per arm and seed, from a pretrained connector and the same conversations.

RUN = layout.run("{world}", "{data}", "{arm}", "{seed}")


rule tune:
    input:
        lambda w: base_of(w.world),
        lambda w: data_of(w.world, PLAN.mixture_datasets(w.world, w.data)),
        encoder_of,
        connector_of,
        start_of,
        layout.mixture("{world}", "{data}"),
    output:
        RUN / "manifest.json",
        RUN / "connector.safetensors",
        RUN / "metrics.jsonl",
        RUN / "adapter" / "adapter_base.json",
    log:
        layout.log("tune", **RUN_WORDS),
    group:
        alone
    threads: lambda w: PLAN.devices(w.world, w.arm)[1]
    resources:
        gpu=lambda w: gpu_on(PLAN.nodes(w.world, w.arm), PLAN.devices(w.world, w.arm)[0]),
        gpu_model=lambda w: gpu_model_on(PLAN.nodes(w.world, w.arm), PLAN.devices(w.world, w.arm)[0]),
        gres=lambda w: gres_on(PLAN.nodes(w.world, w.arm), PLAN.devices(w.world, w.arm)[0]),
        nodes=lambda w: nodes_on(PLAN.nodes(w.world, w.arm)),
        mem_mb=memory_of("tune"),
        runtime=runtime_of("tune"),
    params:
        slice=slice_of("tune"),
    shell:
        "python -m stages.tune {params.slice} --threads {threads} 2>&1 | tee {log}"
