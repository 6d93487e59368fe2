"""Write a data set's official files from its sources: writes data/WORLD/NAME/."""

from steering import layout
from steering.data.builders import ALL
from steering.job import Job, Slice, fetched, run_stage


def main(content: Slice) -> None:
    dataset = content["dataset"]
    downloads = {name: layout.download(name) for name in dataset["sources"]}
    job = Job("dataset", content, downloads)
    folder = layout.dataset(content["world"], content["name"])
    facts = ALL[dataset["builder"]](
        {name: fetched(download) for name, download in downloads.items()}, folder, dataset["settings"]
    )
    job.manifest(folder, facts=facts)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
