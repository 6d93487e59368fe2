"""What a guesser scores that never sees a picture: blind (question only) and majority (one constant answer).

blind: the answer most often right in train for the identical question text; for a question with choices, the choice
whose text was most often right in train for that question text, else most often right overall, else the first in a
seeded order; an unseen question without choices gets the most frequent answer of its category, else of all.
majority: the most frequent train answer; for a question with choices, the position that was most often right.
Both are answers like a model's, to be scored by the same form.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

from steering.evaluate.benchmarks.form import LETTERS, Example, Form


def blind(form: Form, train: Sequence[Example], examples: Sequence[Example], *, seed: int = 0) -> list[str]:
    """What the question alone suggests after *train*, one answer per example; (n,) strings."""
    plain = [example for example in train if not example.choices]
    by_question = _counts((example.question, example.target) for example in plain)
    by_category = _counts((example.category, example.target) for example in plain)
    overall = Counter(example.target for example in plain)
    chooser = _Chooser(form, train, seed)

    def guess(example: Example) -> str:
        if example.choices:
            return chooser.guess(example)
        return _most_common(by_question[example.question] or by_category[example.category] or overall)

    return [guess(example) for example in examples]


def majority(form: Form, train: Sequence[Example], examples: Sequence[Example]) -> list[str]:
    """The one answer, or the one position among choices, that was most often right in *train*; (n,) strings."""
    constant = _most_common(Counter(example.target for example in train if not example.choices))
    positions = Counter(right_position(form, example) for example in train if example.choices)

    def guess(example: Example) -> str:
        if not example.choices:
            return constant
        position = max(range(len(example.choices)), key=lambda at: positions[at])
        return _say(form, example, position)

    return [guess(example) for example in examples]


def right_position(form: Form, example: Example) -> int:
    """Where the right choice stands among the example's choices."""
    if form.lettered:
        return LETTERS.index(example.target)
    return [choice.strip() for choice in example.choices].index(example.target)


class _Chooser:
    """Guesses among choices by how often each text was the right one in train."""

    def __init__(self, form: Form, train: Sequence[Example], seed: int):
        self.form, self.seed = form, seed
        right = [(example.question, _right_text(form, example)) for example in train if example.choices]
        self.by_question = _counts(right)
        self.overall = Counter(text for _, text in right)

    def guess(self, example: Example) -> str:
        seen = self.by_question[example.question]
        texts = [choice.strip() for choice in example.choices]
        ranked = [(seen[text], self.overall[text], _draw(self.seed, example.id, text)) for text in texts]
        return _say(self.form, example, max(range(len(texts)), key=lambda at: ranked[at]))


def _right_text(form: Form, example: Example) -> str:
    return example.choices[right_position(form, example)].strip()


def _say(form: Form, example: Example, position: int) -> str:
    return LETTERS[position] if form.lettered else example.choices[position]


def _counts(pairs: Iterable[tuple[Hashable, str]]) -> defaultdict[Hashable, Counter[str]]:
    """{key: how often each answer came with it}."""
    counts: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
    for key, answer in pairs:
        counts[key][answer] += 1
    return counts


def _most_common(counts: Counter[str]) -> str:
    """The most frequent answer, of equals the first in the alphabet; empty without any."""
    return min(counts, key=lambda answer: (-counts[answer], answer), default="")


def _draw(seed: int, *names: str) -> str:
    """A seeded rank that is the same in every process."""
    return hashlib.sha256("\x1f".join((str(seed), *names)).encode()).hexdigest()
