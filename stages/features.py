"""Encode every picture of a data set once: writes data/WORLD/features/DATASET.safetensors."""

from steering import layout
from steering.data.shards import ImageArchive
from steering.data.usable import excluded
from steering.job import Slice, check_outputs, run_stage
from steering.manifest import whole


def main(content: Slice) -> None:
    from steering.data.features import write_features
    from steering.model.device import device
    from steering.model.encoders import load_encoder

    encoder, folder = content["encoder"], layout.vision_encoder(content["name"])
    check_outputs(folder, ["model.safetensors"])
    vision = load_encoder(encoder["kind"], encoder["config"], folder, parts=encoder.get("parts", ()))
    archive = ImageArchive(layout.dataset(content["world"], content["dataset"]))
    with whole(layout.features(content["world"], content["dataset"])) as aside:
        write_features(
            archive,
            vision.to(device()),
            aside,
            statistics=lambda name: "train" in name.split("/")[:2],
            left_out=excluded(content["world"], content["dataset"]),
            device=device(),
        )


if __name__ == "__main__":
    run_stage(main, about=__doc__)
