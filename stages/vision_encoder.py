"""Turn a fetched vision encoder into safetensors: writes models/vision/NAME/."""

from steering import layout
from steering.job import Job, Slice, fetched, run_stage


def main(content: Slice) -> None:
    from steering.model.convert import convert_encoder

    encoder = content["encoder"]
    source = layout.download(encoder["source"])
    job = Job("vision_encoder", content, {"source": source})
    folder = layout.vision_encoder(content["name"])
    convert_encoder(fetched(source), encoder, folder)
    job.manifest(folder)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
