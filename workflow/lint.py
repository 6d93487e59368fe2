"""`snakemake --lint` with the findings that are meant allowed: `python workflow/lint.py` in the project's root.

An allowance names a rule or a file and the beginning of a finding; "*" stands for every rule. A finding without an
allowance is a fault, and so is an allowance without a finding.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

Finding = tuple[str, str]

ALLOWED: dict[str, str] = {
    "*: Specify a conda environment or container": "one pinned environment, made by `make setup`, serves all rules",
}

HEAD = re.compile(r"Lints for (?:rule (?P<rule>\w+)|snakefile (?P<file>\S+))")
TITLE = re.compile(r"^ +\* (?P<title>.+?):?$")


def findings(report: str) -> Iterator[Finding]:
    """(rule or file name, title) of each finding in what `snakemake --lint` printed."""
    where = ""
    for line in report.splitlines():
        if head := HEAD.match(line):
            where = head["rule"] or Path(head["file"]).name.rstrip(":")
        elif title := TITLE.match(line):
            yield where, title["title"]


def faults(found: Iterable[Finding], allowed: Iterable[str]) -> list[str]:
    """Findings that nothing allows, and allowances that nothing needs."""
    lines = [f"{where}: {title}" for where, title in found]
    entries = {entry: _pattern(entry) for entry in allowed}
    unmet = [f"{entry}: allowed, but no longer found" for entry, of in entries.items() if not any(map(of.match, lines))]
    return [line for line in lines if not any(of.match(line) for of in entries.values())] + unmet


def _pattern(entry: str) -> re.Pattern[str]:
    where, title = entry.split(": ", 1)
    return re.compile((r"\w+" if where == "*" else re.escape(where)) + ": " + re.escape(title))


def main() -> int:
    done = subprocess.run(["snakemake", "--lint"], capture_output=True, text=True)
    report = done.stdout + done.stderr
    if "Lints for" not in report and "good condition" not in report:
        print(report, file=sys.stderr)
        return done.returncode or 2
    wrong = faults(findings(report), ALLOWED)
    print("\n".join(wrong) or "snakemake --lint: nothing but what is meant")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
