# Sources to official files, pictures to features, benchmarks to training conversations. Sources come over the network,
# which a cluster's nodes may not have: they are fetched from here.


rule fetch:
    output:
        layout.download("{source}") / "manifest.json",
    log:
        layout.log("fetch", source="{source}"),
    wildcard_constraints:
        source="[a-z0-9_]+",
    retries: 0
    localrule: True
    params:
        slice=slice_of("fetch"),
    shell:
        "python -m stages.fetch {params.slice} 2>&1 | tee {log}"


rule language_model:
    input:
        lambda w: layout.download(PARAMS.language_models[w.name].source) / "manifest.json",
    output:
        layout.language_model("{name}") / "manifest.json",
    log:
        layout.log("language_model", name="{name}"),
    params:
        slice=slice_of("language_model"),
    shell:
        "python -m stages.language_model {params.slice} 2>&1 | tee {log}"


rule vision_encoder:
    input:
        lambda w: [layout.vision_encoder(part) / "manifest.json" for part in PARAMS.vision_encoders[w.name].parts]
        or layout.download(PARAMS.vision_encoders[w.name].source) / "manifest.json",
    output:
        layout.vision_encoder("{name}") / "manifest.json",
    log:
        layout.log("vision_encoder", name="{name}"),
    params:
        slice=slice_of("vision_encoder"),
    shell:
        "python -m stages.vision_encoder {params.slice} 2>&1 | tee {log}"


rule dataset:
    input:
        lambda w: [
            layout.download(source) / "manifest.json" for source in PARAMS.worlds[w.world].datasets[w.dataset].sources
        ],
    output:
        layout.dataset("{world}", "{dataset}") / "manifest.json",
    log:
        layout.log("dataset", world="{world}", dataset="{dataset}"),
    params:
        slice=slice_of("dataset"),
    shell:
        "python -m stages.dataset {params.slice} 2>&1 | tee {log}"


rule check:
    input:
        layout.dataset("{world}", "{dataset}") / "manifest.json",
    output:
        layout.check("{world}", "{dataset}"),
    log:
        layout.log("check", world="{world}", dataset="{dataset}"),
    threads: threads_of
    params:
        slice=slice_of("check"),
    shell:
        "python -m stages.check {params.slice} --threads {threads} 2>&1 | tee {log}"


rule features:
    input:
        layout.dataset("{world}", "{dataset}") / "manifest.json",
        layout.check("{world}", "{dataset}"),
        lambda w: layout.vision_encoder(PARAMS.worlds[w.world].vision_encoder) / "manifest.json",
    output:
        layout.features("{world}", "{dataset}"),
    log:
        layout.log("features", world="{world}", dataset="{dataset}"),
    threads: threads_of
    resources:
        gpu=gpus_of,
        gpu_model=gpu_model_of,
    params:
        slice=slice_of("features"),
    shell:
        "python -m stages.features {params.slice} --threads {threads} 2>&1 | tee {log}"


rule mixture:
    input:
        lambda w: [layout.dataset(w.world, name) / "manifest.json" for name in PLAN.mixture_datasets(w.world, w.data)],
        lambda w: [layout.check(w.world, name) for name in PLAN.mixture_datasets(w.world, w.data)],
    output:
        layout.mixture("{world}", "{data}"),
        layout.mixture_facts("{world}", "{data}"),
    log:
        layout.log("mixture", world="{world}", data="{data}"),
    params:
        slice=slice_of("mixture"),
    shell:
        "python -m stages.mixture {params.slice} 2>&1 | tee {log}"
