"""Decode every picture of a data set once, before anything rests on it: writes data/WORLD/checks/NAME.json."""

from steering import layout
from steering.data.picture_check import check_pictures, judge
from steering.data.shards import ImageArchive
from steering.job import Slice, run_stage, threads
from steering.manifest import write_json


def main(content: Slice) -> None:
    world, name = content["world"], content["name"]
    folder = layout.dataset(world, name)
    findings = check_pictures(ImageArchive(folder), processes=threads())
    print(judge(findings, content["faulty_pictures"], where=f"{folder}"))
    write_json(layout.check(world, name), findings.told())


if __name__ == "__main__":
    run_stage(main, about=__doc__)
