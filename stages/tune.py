"""Instruction tuning of one arm with one seed: writes checkpoints/runs/WORLD/DATA/ARM/seedN/."""

from steering import layout
from steering.data.conversations import read
from steering.job import Job, Slice, run_stage


def main(content: Slice) -> None:
    world, data = content["world"], content["data"]
    features = {f"features_{name}": layout.features(world, name) for name in content["datasets"]}
    inputs = {
        "conversations": layout.mixture(world, data),
        "connector": layout.connector(world),
        "base": layout.language_model(content["language_model"]["name"]),
        **features,
    }
    job = Job("tune", content, inputs)
    if not job.finished.exists():
        _train(job, content)
    job.deliver(layout.run(world, data, content["arm"], content["seed"]))


def _train(job: Job, content: Slice) -> None:
    from pydantic import TypeAdapter

    from steering import assemble
    from steering.arms import Arm
    from steering.methods import attach
    from steering.methods.adapters import save_adapter
    from steering.model.composed import ComposedModel
    from steering.model.connectors import save_connector
    from steering.train.run import train

    settings, seed = TypeAdapter(Arm).validate_python(content["settings"]), content["seed"]
    base = assemble.language_model(content)
    connector = assemble.trained_connector(content, base, layout.connector(content["world"]))
    adapted = attach(base, settings, seed=seed)
    counts = {"trainable_llm": assemble.parameters(adapted), "trainable_connector": assemble.parameters(connector)}
    with job.making() as folder:
        resumed = train(
            ComposedModel(connector, adapted),
            read(layout.mixture(content["world"], content["data"])),
            assemble.Samples(content["world"], assemble.scribe(content, content["template"])),
            recipe=content["recipe"],
            seed=seed,
            state=job.state,
            log=folder / "metrics.jsonl",
        )
        save_adapter(adapted, folder / "adapter", base_hash=assemble.base_hash(content))
        save_connector(connector, folder / "connector.safetensors")
        job.manifest(
            folder,
            **_facts(content),
            **counts,
            trainable_all=sum(counts.values()),
            resumed_from=resumed,
            adapter_bytes=sum(path.stat().st_size for path in (folder / "adapter").iterdir()),
        )


def _facts(content: Slice) -> Slice:
    run = "/".join((content["world"], content["data"], content["arm"], f"seed{content['seed']}"))
    named = {name: content[name] for name in ("world", "data", "arm", "seed", "settings")}
    return {"run": run, "method": content["settings"]["method"], "steps": content["recipe"]["steps"], **named}


if __name__ == "__main__":
    run_stage(main, about=__doc__)
