"""Turn a fetched language model into one file of safetensors, with its tokenizer: writes models/language/NAME/.

It comes as a GGUF file in a wheel, or as a transformers folder.
"""

from steering import layout
from steering.job import Job, Slice, fetched, run_stage


def main(content: Slice) -> None:
    from steering.model.convert import convert_language_model

    source = layout.download(content["model"]["source"])
    job = Job("language_model", content, {"source": source})
    folder = layout.language_model(content["name"])
    convert_language_model(fetched(source), content["model"], folder)
    job.manifest(folder)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
