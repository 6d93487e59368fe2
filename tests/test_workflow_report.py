"""`snakemake --report` shows a finished experiment without a network; heads write the index, which locks nobody."""

from __future__ import annotations

import shutil
import zipfile
from base64 import b64encode

import pytest
from test_workflow import EXAMPLE, Answer, copied, finished, jobs, snakemake

pytestmark = pytest.mark.slow

__all__ = ["finished"]

FIGURE = "results/table/figures/differences.png"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def offline(monkeypatch) -> None:
    """What asks for an address on the network is refused at once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOWHERE)


def reported(folder, name: str) -> Answer:
    answer = snakemake(folder, "--report", name)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer


def test_a_report_as_one_page_holds_the_figures_and_tables(finished, offline):
    reported(finished, "report.html")
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert b64encode((finished / FIGURE).read_bytes()).decode() in page
    for told in ("results/table/report.html", "results/table/table.csv", "Figure differences of experiment table"):
        assert told in page
    assert 'src="http' not in page


def test_a_report_as_an_archive_holds_the_files(finished, offline):
    reported(finished, "report.zip")
    with zipfile.ZipFile(finished / "report.zip") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    assert "report/report.html" in held
    assert (finished / FIGURE).read_bytes() in held.values()
    assert (finished / "results/table/report.html").read_bytes() in held.values()


def test_the_index_rests_on_nothing(finished):
    assert jobs(snakemake(finished, "--dry-run", "index")) == {"index": 1, "total": 1}


def test_the_index_is_no_output_so_two_heads_share_none(finished):
    table = snakemake(finished, "--summary")
    assert "index.html" not in table.stdout


def test_a_head_that_ends_has_written_the_index(tmp_path):
    folder = copied(tmp_path, EXAMPLE)
    answer = snakemake(folder, "--cores", "1", "index")
    assert answer.returncode == 0, answer.stderr
    page = (folder / "results/index.html").read_text(encoding="utf-8")
    assert 'id="table"' in page and 'id="longer"' in page


def test_a_head_whose_job_failed_has_written_it_too(finished, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    answer = snakemake(folder, "--cores", "1", "--force", "results/table/report.html")  # of scores that are none
    assert answer.returncode != 0
    assert 'data-state="partly"' in (folder / "results/index.html").read_text(encoding="utf-8")
