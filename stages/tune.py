"""Instruction tuning of one arm with one seed: writes checkpoints/runs/WORLD/DATA/ARM/seedN/."""

from pathlib import Path

from steering import layout
from steering.data.conversations import read
from steering.job import Job, Slice, run_stage


def main(content: Slice) -> None:
    from steering import assemble
    from steering.train.launch import delivers, in_processes

    world, data = content["world"], content["data"]
    inputs = {
        "conversations": layout.mixture(world, data),
        "connector": _connector(content),
        "base": layout.language_model(content["language_model"]["name"]),
        **assemble.pictures(content, content["datasets"]),
        **({"start": start} if (start := assemble.started(content)) else {}),
    }
    if assemble.live(content):
        inputs["vision"] = layout.vision_encoder(content["vision_encoder"]["name"])
    job = Job("tune", content, inputs)
    if not job.finished.exists():
        in_processes(content.get("engine", {}), lambda: _train(job, content))
    if delivers():
        job.deliver(layout.run(world, data, content["arm"], content["seed"]))


def _connector(content: Slice) -> Path:
    from steering import assemble

    return assemble.started(content) or layout.connector(content["world"], content["pretrain_seed"])


def _train(job: Job, content: Slice) -> None:
    from steering import assemble
    from steering.analyse.attended import chooser
    from steering.methods import adapt
    from steering.model.composed import ComposedModel
    from steering.tracking.live import following
    from steering.train.run import train

    base = assemble.language_model(content)
    connector = assemble.trained_connector(content, base, _connector(content))
    vision = assemble.vision(content) if assemble.live(content) else None
    encoder = dict(vision.named_parameters()) if vision else {}  # under its own names, before a method wraps layers
    model = ComposedModel(connector, base, vision)
    adapted = adapt(model, assemble.arm(content), seed=content["seed"])
    model.attend = chooser(model, content["settings"])
    shown = {**_facts(content), "inputs": job.inputs, "started": job.started}
    with job.making() as folder, following(folder / "metrics.jsonl", shown):
        trained = train(
            model,
            read(layout.mixture(content["world"], content["data"])),
            assemble.samples(content, content["template"], model, independent=content["recipe"]["independent_turns"]),
            recipe=content["recipe"],
            seed=content["seed"],
            state=job.state,
            log=folder / "metrics.jsonl",
            engine=content.get("engine"),
            run=job.run,
        )
        if trained.first:
            _save(folder, content, adapted=adapted, connector=connector, encoder=encoder)
            told = {"computed_in": str(model.dtype).removeprefix("torch.")}
            job.manifest(folder, **_facts(content), **_counts(model), **trained.facts(), **_bytes(folder), **told)


def _save(folder, content: Slice, *, adapted, connector, encoder) -> None:
    from steering import assemble
    from steering.methods.adapters import save_adapter
    from steering.model.connectors import save_connector
    from steering.model.encoders import save_weights

    save_adapter(adapted, folder / "adapter", base_hash=assemble.base_hash(content))
    save_connector(connector, folder / "connector.safetensors")
    if changed := {name: weight for name, weight in encoder.items() if weight.requires_grad}:
        save_weights(changed, folder / assemble.ENCODER)


def _counts(model) -> Slice:
    """Trained parameters by part; those of the encoder only where there are any."""
    from steering.train.optimiser import trained_by_part

    sizes = {part: sum(p.numel() for p in own.values()) for part, own in trained_by_part(model).items()}
    counts = {"trainable_llm": sizes["method"], "trainable_connector": sizes["connector"]}
    counts |= {"trainable_encoder": sizes["encoder"]} if sizes["encoder"] else {}
    return counts | {"trainable_all": sum(sizes.values())}


def _facts(content: Slice) -> Slice:
    run = "/".join((content["world"], content["data"], content["arm"], f"seed{content['seed']}"))
    named = {name: content[name] for name in ("world", "data", "arm", "seed", "settings")}
    return {"run": run, "method": content["settings"]["method"], "steps": content["recipe"]["steps"], **named}


def _bytes(folder) -> Slice:
    return {"adapter_bytes": sum(path.stat().st_size for path in (folder / "adapter").iterdir())}


if __name__ == "__main__":
    run_stage(main, about=__doc__)
