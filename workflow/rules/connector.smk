# Stage 1 of the recipe: the connector learns to speak the language model's words; everything else is frozen.

CONNECTOR = layout.connector("{world}", "{seed}")


rule connector:
    input:
        lambda w: base_of(w.world),
        lambda w: data_of(w.world, [PARAMS.worlds[w.world].pretrain.dataset]),
        lambda w: (
            layout.vision_encoder(PARAMS.worlds[w.world].vision_encoder) / "manifest.json"
            if PARAMS.worlds[w.world].features == "live"
            else []
        ),
    output:
        CONNECTOR / "manifest.json",
        CONNECTOR / "connector.safetensors",
        CONNECTOR / "metrics.jsonl",
    log:
        layout.log("connector", world="{world}", seed="{seed}"),
    threads: lambda w: PARAMS.worlds[w.world].pretrain.threads
    resources:
        gpu=lambda w: gpu_on(PLAN.pretrain_engine(w.world).nodes, gpus_of(w)),
        gpu_model=lambda w: gpu_model_on(PLAN.pretrain_engine(w.world).nodes, gpus_of(w)),
        gres=lambda w: gres_on(PLAN.pretrain_engine(w.world).nodes, gpus_of(w)),
        nodes=lambda w: nodes_on(PLAN.pretrain_engine(w.world).nodes),
        mem_mb=memory_of("connector"),
        runtime=runtime_of("connector"),
    params:
        slice=slice_of("connector"),
    shell:
        "python -m stages.connector {params.slice} --threads {threads} 2>&1 | tee {log}"
