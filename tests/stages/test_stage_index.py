"""`python -m stages.index`: one page, by the params file that is named, refused where that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages import index
from steering import layout
from steering.errors import ParamsError

EXAMPLE = Path(__file__).resolve().parents[1] / "example.yaml"


def test_the_page_is_written_from_the_params_file_that_is_named(here):
    assert index.main(["--params", str(EXAMPLE)]) == "results/index.html"
    assert 'id="longer"' in layout.INDEX.read_text(encoding="utf-8")


def test_writing_it_twice_gives_the_same_page(here):
    index.main(["--params", str(EXAMPLE)])
    first = layout.INDEX.read_bytes()
    index.main(["--params", str(EXAMPLE)])
    assert layout.INDEX.read_bytes() == first


def test_an_unknown_option_is_told(here):
    with pytest.raises(ParamsError, match="--parms: unknown option; allowed .*--params"):
        index.main(["--parms", str(EXAMPLE)])
