"""What a person asks `snakemake` for by name, and probably meant: Snakemake says only that no rule produces it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from steering.errors import nearest


def slips(words: Iterable[str], known: Collection[str]) -> Iterator[str]:
    """A line for each of a command line's *words* that is nearly one of the *known* names. Options and files pass.

    What an option is given passes too unless it is as near as a slip of the keys: `code` is no slip of `score`.
    """
    for word in words:
        close = nearest(word, known, cutoff=0.8)
        if close and word not in known and word.replace("_", "").isalnum():
            yield f"{word}: no such target{close}"
