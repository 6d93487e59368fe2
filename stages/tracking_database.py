"""Make MLflow's database before any job opens it: several at once would break a fresh one."""

import sys
from pathlib import Path

from steering import layout
from steering.tracking import initialise


def main(marker: Path) -> None:
    initialise(f"sqlite:///{layout.DATABASE}", str(layout.ARTIFACTS))
    marker.touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
