"""Whole scores of random answers against the official rules written a second time, which import nothing of ours.

Each form's own test has the readings of single answers; here files go in and every metric of the score comes out.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter, defaultdict
from random import Random

import pytest

from steering.evaluate.benchmarks import hellaswag, iconqa, mmlu, mmvet, textvqa, vizwiz, vqa
from steering.evaluate.judge import Verdict
from steering.evaluate.likelihood import told
from steering.evaluate.scoring import prediction_of, score

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
APOSTROPHES = {
    "isnt": "isn't", "dont": "don't", "couldntve": "couldntve", "couldn'tve": "couldn't've", "lets": "lets",
    "oclock": "o'clock", "ow's'at": "'ow's'at", "yall": "y'all", "somebody'd": "somebodyd", "cats": "cats",
    "whats": "what's", "id": "id", "theyre": "they're", "hed've": "he'd've",
}  # fmt: skip
WORDS = ["two", "2", "none", "0", "the", "a", "an", "red", "Red", "1,000", "1000", "3.5", "3.", "t-shirt", "(b)",
         "cat's", "what?", "yes", "no", "unanswerable", "a;b", "50/50", "是", "нет", "10:30",
         "$5", "don't", *APOSTROPHES]  # fmt: skip
ENDS = ["", ".", "..", " .", "!", "\n", ",", "?", " \t"]


def phrase(random: Random) -> str:
    words = random.choices(WORDS, k=random.choice([0, 1, 1, 1, 2, 3]))
    said = random.choice([" ", "  ", ", "]).join(words) + random.choice(ENDS)
    return random.choice([str, str, str.upper, str.capitalize])(said)


def alike(text: str) -> str:
    """The EvalAI spelling of an answer, mark by mark on the text as it came."""
    text = re.sub("[,?]", "", text.lower()).replace("'s", " 's").strip()
    text = re.sub(r"[\n\t]", " ", text).strip()
    gone = {mark for mark in ';/[]"{}()=+\\_-><@`!' if re.search(f"(?: {re.escape(mark)}|{re.escape(mark)} )", text)}
    text = "".join("" if mark in gone else " " if mark in ';/[]"{}()=+\\_-><@`!' else mark for mark in text)
    text = re.sub(r"\.(?!\d)", "", text)
    words = ["0" if word == "none" else str(NUMBERS.index(word)) if word in NUMBERS else word for word in text.split()]
    return " ".join(APOSTROPHES.get(word, word) for word in words if word not in {"a", "an", "the"})


def worth(said: str, references: list[str]) -> float:
    """What *said* is worth: the table of distinct references, each worth the mean over the ten left out."""
    spelled = [alike(one) for one in references]
    table = {one: sum(min(1, (spelled.count(one) - (other == one)) / 3) for other in spelled) / 10 for one in spelled}
    return table.get(alike(said), 0) if said.strip() else 0.0


def values(form, asked, answers):
    """The metrics of the form's score of *answers*, None where undefined."""
    rows = [prediction_of(one, group=one.id, answer=said) for one, said in zip(asked, answers, strict=True)]
    found = score(form, rows, resamples=2)
    return {name: metric["value"] for name, metric in found["metrics"].items()}, found["unparsed"]


def mean(numbers):
    numbers = list(numbers)
    return sum(numbers) / len(numbers) if numbers else None


def open_questions(random, count=250):
    """Ten references a question and an answer that is often one of them."""
    references = [random.choices([phrase(random) for _ in range(3)], k=10) for _ in range(count)]
    return references, [random.choice([phrase(random), *random.sample(own, 2)]) for own in references]


def test_vqav2_accuracy_by_answer_type(tmp_path):
    random = Random(1)
    references, said = open_questions(random)
    kinds = random.choices(["yes/no", "number", "other"], k=len(said))
    questions = [{"question_id": n, "image_id": n // 3, "question": f"q {n}?"} for n in range(len(said))]
    notes = [
        {"question_id": n, "question_type": "what", "answer_type": kind, "multiple_choice_answer": own[0],
         "answers": [{"answer": one, "answer_id": k} for k, one in enumerate(own)]}
        for n, (own, kind) in enumerate(zip(references, kinds, strict=True))
    ]  # fmt: skip
    (tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json").write_text(json.dumps({"questions": questions}))
    (tmp_path / "v2_mscoco_val2014_annotations.json").write_text(json.dumps({"annotations": notes[::-1]}))
    worths = [worth(one, own) for one, own in zip(said, references, strict=True)]
    expected = {"accuracy": mean(worths)} | {
        f"accuracy_{kind.replace('/', '_')}": mean(w for w, own in zip(worths, kinds, strict=True) if own == kind)
        for kind in ("yes/no", "number", "other")
    }
    found, unparsed = values(vqa.VQAV2, vqa.VQAV2.examples(tmp_path, "val"), said)
    assert found == pytest.approx(expected)
    assert unparsed == sum(not one.strip() for one in said) > 0
    assert 0.2 < found["accuracy"] < 0.8


@pytest.mark.parametrize("form", [textvqa.TEXTVQA, textvqa.TEXTVQA_OCR], ids=["without", "with tokens"])
def test_textvqa_accuracy_with_and_without_tokens(tmp_path, form):
    random = Random(2)
    references, said = open_questions(random)
    notes = [
        {"question_id": n, "image_id": f"p{n // 2}", "question": f"What {n % 2}? ", "answers": own}
        for n, own in enumerate(references)
    ]
    (tmp_path / "TextVQA_0.5.1_val.json").write_text(json.dumps({"data": notes}))
    told_after = "Reference OCR token: A, B\nAnswer the question using a single word or phrase."
    lines = [
        {
            "question_id": one["image_id"],
            "image": f"{one['image_id']}.jpg",
            "text": f"{one['question'].upper()}\n{told_after}",
        }
        for one in notes
    ]
    (tmp_path / "llava_textvqa_val_v051_ocr.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found, _ = values(form, form.examples(tmp_path, "val"), said)
    assert found["accuracy"] == pytest.approx(mean(map(worth, said, references)))


def test_vizwiz_accuracy_by_what_can_be_answered(tmp_path):
    random = Random(3)
    references, said = open_questions(random)
    can = random.choices([0, 1], k=len(said))
    rows = [
        {"image": f"{n}.jpg", "question": "what?", "answerable": yes,
         "answers": [{"answer": one, "answer_confidence": "yes"} for one in own]}
        for n, (own, yes) in enumerate(zip(references, can, strict=True))
    ]  # fmt: skip
    (tmp_path / "val.json").write_text(json.dumps(rows))
    worths = list(map(worth, said, references))
    parts = {name: mean(w for w, yes in zip(worths, can, strict=True) if yes == n)
             for n, name in enumerate(["accuracy_unanswerable", "accuracy_answerable"])}  # fmt: skip
    found, _ = values(vizwiz.VIZWIZ, vizwiz.VIZWIZ.examples(tmp_path, "val"), said)
    assert found == pytest.approx({"accuracy": mean(worths), **parts})


def icon_problems(random, root, count=200):
    """A problems.json of blanks and of choices, some of which are numerals."""
    texts = ["cat", "dog", "0", "1", "2", "a cat", "Cat", " 3 "]
    problems = {}
    for pid in map(str, range(count)):
        choices, kind = random.sample(texts, random.randint(2, 5)), random.choice(["choose_txt", "fill_in_blank"])
        answer = str(random.randrange(len(choices))) if kind == "choose_txt" else random.choice(["3", "3,000", "half"])
        problems[pid] = {"question": "q?", "choices": choices, "answer": answer, "ques_type": kind}
    (root / "problems.json").write_text(json.dumps(problems))
    (root / "pid_splits.json").write_text(json.dumps({"test": list(problems)}))
    return problems


@pytest.mark.parametrize("index_only", [False, True])
def test_iconqa_exact_match_of_texts_and_blanks(tmp_path, index_only):
    random = Random(4)
    problems = icon_problems(random, tmp_path)
    pool = [
        "cat",
        "Cat",
        "cat.",
        "0",
        "1",
        "2",
        "3",
        " 3",
        "3\n",
        "3,000",
        "3000",
        "half",
        "",
        "(A)",
        "A.",
        "two",
        "кот",
    ]
    said = random.choices(pool, k=len(problems))

    def right(one, answer):
        if one["ques_type"] == "fill_in_blank" or index_only:
            return answer.strip() == one["answer"]
        texts = [text.strip() for text in one["choices"]]
        chosen = [at for at, text in enumerate(texts) if text == answer.strip()]
        if not chosen and answer.strip() in map(str, range(len(texts))):
            chosen = [int(answer)]
        return int(one["answer"]) in chosen

    form = iconqa.ICONQA_INDEX if index_only else iconqa.ICONQA
    for kind in (None, "choose_txt", "fill_in_blank"):
        asked = form.examples(tmp_path, "test", kind)
        own = [(problems[one.id], said[int(one.id)]) for one in asked]
        found, _ = values(form, asked, [answer for _, answer in own])
        assert found["accuracy"] == pytest.approx(mean(right(*pair) for pair in own))
        assert 0 < found["accuracy"] < 1


def test_mmlu_takes_a_letter_that_stands_alone_at_the_start(tmp_path):
    random = Random(5)
    (tmp_path / "test").mkdir()
    with (tmp_path / "test" / "law_test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([f"q {n}", "w", "x", "y", "z", random.choice("ABCD")] for n in range(300))
    asked = mmlu.MMLU.examples(tmp_path, "test")
    pieces = [*"ABCDEab", "A", "B", ". ", ".", " ", "(", ")", ":", ",", "The answer is ", "\n", "dog", "Б", ""]
    said = ["".join(random.choices(pieces, k=random.randint(0, 4))) for _ in asked]

    def letter(answer):
        answer = answer.strip().removeprefix("(")
        return (
            answer[0]
            if answer[:1] in tuple("ABCD") and (answer[1:2] in tuple(").:,\n") or not answer[1:].strip())
            else None
        )

    found, unparsed = values(mmlu.MMLU, asked, said)
    assert unparsed == sum(letter(one) is None for one in said)
    assert found["accuracy"] == pytest.approx(
        mean(letter(one) == own.target for one, own in zip(said, asked, strict=True))
    )
    assert 0 < found["accuracy"] < 0.5


def test_hellaswag_by_sum_by_character_and_by_byte(tmp_path):
    random = Random(6)
    kinds = ["indomain", "zeroshot"]
    rows = [
        {"activity_label": "x", "ctx_a": "he", "ctx_b": "she", "label": random.randrange(4),
         "endings": random.sample(["a", "ab [x] c", "ж", "жук", "a long ending", "一", " [title] z"], 4),
         "split_type": random.choice(kinds)}
        for _ in range(300)
    ]  # fmt: skip
    (tmp_path / "hellaswag_val.jsonl").write_text("\n".join(map(json.dumps, rows)))
    weighed = [[-random.choice([1, 2, 3, 5, 8, 13]) for _ in range(4)] for _ in rows]

    def spelled(ending):
        return re.sub(r"\[[^\]]*\]", "", ending.strip().replace(" [title]", ". ")).replace("  ", " ")

    def best(values_, lengths):
        chances = [v / n for v, n in zip(values_, lengths, strict=True)]
        return chances.index(max(chances))

    hits = defaultdict(list)
    for one, logs in zip(rows, weighed, strict=True):
        ends = [spelled(ending) for ending in one["endings"]]
        for name, lengths in (
            ("accuracy", [1] * 4), ("accuracy_norm", list(map(len, ends))),
            ("accuracy_bytes", [len(end.encode()) for end in ends]),
        ):  # fmt: skip
            hits[name].append(best(logs, lengths) == one["label"])
        hits[f"accuracy_norm_{one['split_type']}"].append(hits["accuracy_norm"][-1])
    asked = hellaswag.HELLASWAG.examples(tmp_path, "val")
    found, _ = values(hellaswag.HELLASWAG, asked, [told(logs) for logs in weighed])
    assert found == pytest.approx({name: mean(own) for name, own in hits.items()})


def test_mmvet_totals_by_capability_and_by_set(tmp_path):
    random = Random(7)
    names = ["rec", "ocr", "know", "gen", "spat", "math"]
    rows = {
        f"v1_{n}": {"imagename": f"{n}.png", "question": "q", "answer": "a",
                    "capability": random.sample(names, random.randint(1, 3))}
        for n in range(120)
    }  # fmt: skip
    (tmp_path / "mm-vet.json").write_text(json.dumps(rows))
    grades = {name: random.randrange(11) / 10 for name in rows}
    sums, counts = Counter(), Counter()
    for name, one in rows.items():
        needs = set(one["capability"])
        exact = "score_only_" + "_".join(need for need in names if need in needs)
        for metric in ("score", exact, *(f"score_{need}" for need in needs)):
            sums[metric] += grades[name]
            counts[metric] += 1
    pairs = [(one, "said") for one in mmvet.MMVET.examples(tmp_path, "test")]
    form = mmvet.MMVET.judged(pairs, {name: Verdict(g) for name, g in grades.items()}, "0")
    found, _ = values(form, [one for one, _ in pairs], ["said"] * len(pairs))
    assert found == pytest.approx({metric: sums[metric] / counts[metric] for metric in counts})


def test_the_second_spelling_knows_what_the_first_must():
    odd = ("The Two.", "1,000?", "isnt", "cat's", "50/50")
    assert [alike(text) for text in odd] == [
        "2",
        "1000",
        "isn't",
        "cat 's",
        "50 50",
    ]
    assert math.isclose(worth("two", ["2"] * 2 + ["x"] * 8), 0.6)
