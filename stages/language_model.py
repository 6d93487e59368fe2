"""Turn a fetched language model into safetensors, with its tokenizer: writes models/language/NAME/."""

from steering import layout
from steering.job import Job, Slice, fetched, run_stage


def main(content: Slice) -> None:
    from steering.model.convert import convert_gguf

    model = content["model"]
    source = layout.download(model["source"])
    job = Job("language_model", content, {"source": source})
    folder = layout.language_model(content["name"])
    convert_gguf(fetched(source), model["member"], folder, config=model["config"], dtype=model["dtype"])
    job.manifest(folder)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
