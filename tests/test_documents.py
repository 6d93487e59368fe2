"""README and docs/: what they link to is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """(file, heading or "") of each link in *document* that stays in the repository."""
    code = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", code.sub("", document.read_text(encoding="utf-8"))):
        if not target.startswith(("http://", "https://")):
            path, _, heading = target.partition("#")
            yield (document.parent / path).resolve() if path else document, heading


def headings(document: Path) -> set[str]:
    """The anchors of *document* as code hosts make them: lower case, hyphens for blanks, no punctuation."""
    found = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(document: Path) -> None:
    broken = [
        f"{path.relative_to(ROOT)}#{heading}"
        for path, heading in links(document)
        if not path.exists() or (heading and heading not in headings(path))
    ]
    assert not broken


def test_the_readme_leads_to_every_document() -> None:
    assert {path for path in DOCUMENTS if path.parent != ROOT} <= {path for path, _ in links(ROOT / "README.md")}
