"""Fetch one source, checked against its sha256: writes downloads/NAME/."""

from steering import layout
from steering.data.sources import fetch
from steering.job import Job, Slice, run_stage


def main(content: Slice) -> None:
    job = Job("fetch", content, {})
    folder = layout.download(content["name"])
    path = fetch(content["source"], folder)
    job.manifest(folder, file=path.name)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
