"""Pretrain the connector on captions, the language model frozen: writes checkpoints/connectors/WORLD/seedN/."""

from pathlib import Path

from steering import layout
from steering.data.usable import conversations, tell_left_out
from steering.job import Job, Slice, run_stage


def main(content: Slice) -> None:
    from steering.train.launch import delivers, in_processes

    pretrain, world = content["pretrain"], content["world"]
    inputs = {
        "captions": layout.dataset(world, pretrain["dataset"]),
        "check": layout.check(world, pretrain["dataset"]),
        "base": layout.language_model(content["language_model"]["name"]),
        **_eyes(content),
    }
    job = Job("connector", content, inputs)
    if not job.finished.exists():
        in_processes(content.get("engine", {}), lambda: _train(job, content))
    if delivers():
        job.deliver(layout.connector(world, pretrain["seed"]))


def _live(content: Slice) -> bool:
    return content.get("features") == "live"


def _eyes(content: Slice) -> Slice:
    """What the pictures are seen by: features computed once, or the vision encoder."""
    if _live(content):
        return {"vision": layout.vision_encoder(content["vision_encoder"]["name"])}
    return {"features": layout.features(content["world"], content["pretrain"]["dataset"])}


def _train(job: Job, content: Slice) -> None:
    import torch

    from steering import assemble
    from steering.model.composed import ComposedModel
    from steering.model.connectors import save_connector
    from steering.train.run import train

    pretrain, world = content["pretrain"], content["world"]
    name = pretrain["dataset"]
    torch.manual_seed(pretrain["seed"])
    language_model = assemble.language_model(content)
    connector = assemble.fresh_connector(content, language_model)
    if not _live(content):
        _standardise(connector, layout.features(world, name))
    captions, left_out = conversations(world, name, pretrain["captions"])
    tell_left_out(left_out)
    model = ComposedModel(connector, language_model, assemble.vision(content) if _live(content) else None)
    samples = assemble.samples(content, pretrain["template"], model)
    with job.making() as folder:
        if pretrain["warm_start"] and assemble.parameters(connector):
            _warm_start(connector, language_model, captions, samples, pretrain)
        trained = train(
            model,
            captions,
            samples,
            recipe=pretrain["recipe"],
            seed=pretrain["seed"],
            state=job.state,
            log=folder / "metrics.jsonl",
            engine=content.get("engine"),
            run=job.run,
        )
        if trained.first:
            save_connector(connector, folder / "connector.safetensors")
            facts = ({"left_out": left_out} if left_out else {}) | trained.facts()
            job.manifest(folder, world=world, trainable_connector=assemble.parameters(connector), **facts)


def _standardise(connector, path: Path) -> None:
    """Take over the features' statistics; the papers' connectors, on live features, take features as they are."""
    from steering.data.features import Features

    features = Features(path)
    connector.standardise(features.mean, features.std)


def _warm_start(connector, language_model, captions, samples, pretrain: Slice) -> None:
    from steering.model.language import words_of
    from steering.train.warm_start import warm_start

    error = warm_start(
        connector,
        words_of(language_model),
        [samples.scribe.turn(*caption.turns[0]).answer for caption in captions],
        features=lambda index: samples.features(captions[index].image),
        settings=pretrain["warm_start"],
        seed=pretrain["seed"],
    )
    print(f"warm start: error {error:.3f} of the captions' variance")


if __name__ == "__main__":
    run_stage(main, about=__doc__)
