"""Turn a fetched vision encoder, or several side by side, into safetensors: writes models/vision/NAME/."""

from steering import layout
from steering.job import Job, Slice, check_outputs, fetched, run_stage


def main(content: Slice) -> None:
    from steering.model.convert import convert_encoder, join_encoders

    encoder, folder = content["encoder"], layout.vision_encoder(content["name"])
    parts = {part["name"]: layout.vision_encoder(part["name"]) for part in encoder.get("parts", ())}
    if parts:
        job = Job("vision_encoder", content, parts)
        for part in parts.values():
            check_outputs(part, ["model.safetensors"])
        join_encoders([layout.vision_encoder(part["name"]) for part in encoder["parts"]], encoder, folder)
    else:
        source = layout.download(encoder["source"])
        job = Job("vision_encoder", content, {"source": source})
        convert_encoder(fetched(source), encoder, folder)
    job.manifest(folder)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
