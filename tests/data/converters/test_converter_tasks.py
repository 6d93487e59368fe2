"""ScienceQA, VizWiz and IconQA become one question and answer a row, in the words of their published conversions."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from published import check_whole, save_folder, save_json, written

from steering.data.converters import CONVERTERS, iconqa, scienceqa, vizwiz
from steering.errors import DataError
from steering.evaluate.benchmarks import form
from steering.evaluate.benchmarks.iconqa import ICONQA
from tests.official_writing import picture, save_zip


def problem(question="Which is hard?", choices=("ice", "air"), answer=0, hint="", image=None):
    rest = {"task": "closed choice", "grade": "grade2", "subject": "natural science", "split": "train"}
    return {"question": question, "choices": list(choices), "answer": answer, "hint": hint, "image": image, **rest}


def science(folder, **problems):
    problems = {"1": problem(), "3": problem(hint=" Ice is cold. ", image="image.png", answer=1), **problems}
    return {
        "scienceqa_problems": save_json(folder / "problems.json", problems | {"2": problem("A test question?")}),
        "scienceqa_splits": save_json(folder / "pid_splits.json", {"train": [*problems], "test": ["2"]}),
        "scienceqa_images": save_zip(folder / "train.zip", {"train/3/image.png": picture(3, "PNG")}),
    }


def test_scienceqa_is_asked_by_lettered_choices_with_and_without_a_picture(tmp_path):
    found = check_whole(tmp_path / "out", CONVERTERS["scienceqa"](science(tmp_path), tmp_path / "out", {}))
    end = "A. ice\nB. air\nAnswer with the option's letter from the given choices directly."
    assert [(one.id, one.image, one.turns) for one in found] == [
        ("1", None, ((f"Which is hard?\n{end}", "A"),)),
        ("3", "images/train/3/image.png", ((f"Context: Ice is cold.\nWhich is hard?\n{end}", "B"),)),
    ]


def test_scienceqa_refuses_answers_beyond_the_choices_and_incomplete_problems(tmp_path):
    with pytest.raises(DataError, match=r"problems\.json: 4: answer 2; allowed is an index below 2"):
        CONVERTERS["scienceqa"](science(tmp_path, **{"4": problem(answer=2)}), tmp_path / "out", {})
    with pytest.raises(DataError, match="2 records without a usable question, choices, answer: 4, 5"):
        CONVERTERS["scienceqa"](science(tmp_path, **{"4": {}, "5": None}), tmp_path / "out", {})


def official_science_prompt(problem):
    """The form again, line by line."""
    text = ""
    if problem["hint"]:
        text += "Context: " + problem["hint"] + "\n"
    text += problem["question"] + "\n"
    for index in range(len(problem["choices"])):
        text += "ABCDEFG"[index] + ". " + problem["choices"][index] + "\n"
    return text + form.LETTER_ANSWER


def test_scienceqa_prompts_are_the_official_rule_on_random_problems():
    generator = random.Random(0)
    words = ["hot", "cold", "It is.", "a\nb", "Why?"]
    for _ in range(200):
        hint = generator.choice(["", *words])
        one = problem(generator.choice(words), generator.choices(words, k=generator.randint(2, 5)), hint=hint)
        assert scienceqa.question(one) == official_science_prompt(one)


def answers(*given):
    return [{"answer": answer, "answer_confidence": confidence} for answer, confidence in given]


def viz(number, *given, answerable=1):
    name = f"VizWiz_train_{number:08d}.jpg"
    return {"image": name, "question": f"What is it? {number}", "answers": answers(*given), "answerable": answerable}


def vizwiz_sources(folder, records, zipped=True):
    members = {f"train/{record['image']}": picture(number) for number, record in enumerate(records)}
    images = save_zip(folder / "train.zip", members) if zipped else save_folder(folder / "images", members)
    path = save_json(folder / "Annotations/train.json", records)
    archive = save_zip(folder / "Annotations.zip", {"train.json": path.read_bytes()})
    return {"vizwiz_annotations": archive if zipped else path.parent, "vizwiz_images": images}


def test_vizwiz_teaches_one_answer_and_unanswerable_by_name(tmp_path):
    records = [
        viz(0, ("basil", "yes"), ("unanswerable", "yes"), ("soup", "no")),
        viz(1, ("basil", "yes"), answerable=0),
        viz(2, (" Tea ", "maybe"), ("Unanswerable", "maybe"), ("", "yes")),
    ]
    found = check_whole(tmp_path / "a", CONVERTERS["vizwiz"](vizwiz_sources(tmp_path, records), tmp_path / "a", {}))
    assert [(one.id, one.turns[0][1]) for one in found] == [
        ("VizWiz_train_00000000", "basil"),
        ("VizWiz_train_00000001", "Unanswerable"),
        ("VizWiz_train_00000002", "Tea"),
    ]
    assert found[0].image == "VizWiz_train_00000000.jpg"
    assert found[0].turns[0][0] == (
        "What is it? 0\nWhen the provided information is insufficient, respond with 'Unanswerable'.\n"
        "Answer the question using a single word or phrase."
    )
    CONVERTERS["vizwiz"](vizwiz_sources(tmp_path, records, zipped=False), tmp_path / "b", {})
    assert written(tmp_path / "a") == written(tmp_path / "b")


def test_a_vizwiz_question_without_a_confident_answer_is_dropped_and_counted(tmp_path):
    sources = vizwiz_sources(tmp_path, [viz(0, ("basil", "no"), ("unanswerable", "yes")), viz(1, ("tea", "yes"))])
    facts = CONVERTERS["vizwiz"](sources, tmp_path / "out", {"dropped_share": 0.5})
    assert facts["counts"]["dropped"] == {"no answer": 1}
    with pytest.raises(DataError, match="1 of 2 rows would be dropped"):
        CONVERTERS["vizwiz"](sources, tmp_path / "again", {})


def test_a_vizwiz_answer_is_the_same_whatever_stands_around_it(tmp_path):
    given = [(f"word{number}", "yes") for number in range(10)]
    records = [viz(number, *given) for number in range(30)]
    taught = []
    for name, some in (("all", records), ("some", records[::-3])):
        sources = vizwiz_sources(tmp_path / name, some)
        found = check_whole(tmp_path / f"{name}-out", CONVERTERS["vizwiz"](sources, tmp_path / f"{name}-out", {}))
        taught.append({one.id: one.turns[0][1] for one in found})
    assert taught[1].items() <= taught[0].items()
    assert len(set(taught[0].values())) > 3
    CONVERTERS["vizwiz"](vizwiz_sources(tmp_path / "o", records), tmp_path / "o-out", {"answer_seed": 43})
    assert written(tmp_path / "o-out")["conversations.json"] != written(tmp_path / "all-out")["conversations.json"]


def official_weights(record):
    """{answer: chance} by the published rule: candidates yes or maybe, not unanswerable, 3 to 1."""
    if record["answerable"] == 0:
        return {"Unanswerable": 1.0}
    chances = Counter()
    for one in record["answers"]:
        if one["answer_confidence"] in ("yes", "maybe") and one["answer"] != "unanswerable":
            chances[one["answer"]] += 3 if one["answer_confidence"] == "yes" else 1
    return {answer: chance / chances.total() for answer, chance in chances.items()}


def test_vizwiz_answers_are_drawn_by_confidence_three_to_one():
    generator = random.Random(0)
    for _ in range(5):
        given = [(generator.choice("abc"), generator.choice(["yes", "maybe", "no"])) for _ in range(9)]
        record = viz(0, *given, ("a", "yes"), ("unanswerable", "yes"))
        drawn = Counter(vizwiz.draw_answer(record, random.Random(number)) for number in range(4000))
        wanted = official_weights(record)
        assert drawn.keys() == wanted.keys()
        assert all(abs(drawn[answer] / 4000 - chance) < 0.04 for answer, chance in wanted.items())


def icon(kind, question, answer, choices=None):
    common = {"question": question, "answer": answer, "ques_type": kind, "grade": "prek", "label": "S2"}
    return common if choices is None else {**common, "choices": choices}


ICONS = {
    "10": icon("choose_txt", "What is it? ", "2", ["a cup", "3", "a sun"]),
    "11": icon("fill_in_blank", "There are (_) dots.", "7"),
    "12": icon("choose_img", "Which one?", 0, ["choice_0.png"]),
    "13": icon("choose_txt", "A test question?", "0", ["a"]),
}


def icons(folder, problems=ICONS):
    files = {"problems.json": problems, "pid_splits.json": {"train": ["10", "11", "12"], "test": ["13"]}}
    for name, value in files.items():
        save_json(folder / "iconqa_data" / name, value)
    pictures = {f"iconqa/train/{problems[pid]['ques_type']}/{pid}/image.png": picture(1, "PNG") for pid in ("10", "11")}
    save_folder(folder / "iconqa_data", pictures)
    members = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*") if p.is_file()}
    return {"iconqa_data": save_zip(folder.parent / "iconqa_data.zip", members)}


EXPECTED = {
    "iconqa_txt": (
        "iconqa/train/choose_txt/10/image.png",
        ("What is it? Choices: a cup, 3, a sun. Choose an option from the choices to answer the question.", "2"),
    ),
    "iconqa_blank": (
        "iconqa/train/fill_in_blank/11/image.png",
        ("There are (_) dots. Fill in the blanks in (_) or answer this question", "7"),
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_iconqa_is_asked_in_mores_words_and_answered_as_the_file_has_it(tmp_path, name):
    zipped = icons(tmp_path / "raw")
    found = check_whole(tmp_path / "a", CONVERTERS[name](zipped, tmp_path / "a", {}))
    assert [(one.image, one.turns[0]) for one in found] == [EXPECTED[name]]
    for folder in ("raw", "raw/iconqa_data"):
        CONVERTERS[name]({"iconqa_data": tmp_path / folder}, tmp_path / "b", {})
        assert written(tmp_path / "a") == written(tmp_path / "b")


def test_iconqa_without_its_files_or_choices_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds none of problems\.json, iconqa_data/problems\.json"):
        CONVERTERS["iconqa_txt"]({"iconqa_data": save_folder(tmp_path / "x", {"a": b""})}, tmp_path / "out", {})
    problems = ICONS | {"10": icon("choose_txt", "What?", "2")}
    with pytest.raises(DataError, match="1 records without a usable choices: 10"):
        CONVERTERS["iconqa_txt"](icons(tmp_path / "raw", problems), tmp_path / "out", {})


def test_iconqa_and_its_pictures_are_asked_as_in_evaluation(tmp_path):
    icons(tmp_path / "raw")
    for example in ICONQA.examples(tmp_path / "raw/iconqa_data", "train"):
        assert iconqa.question(ICONS[example.id]) == example.prompt
        assert (example.image, (example.prompt, ICONS[example.id]["answer"])) in EXPECTED.values()


def test_instructions_are_those_of_evaluation():
    assert scienceqa.INSTRUCTION == form.LETTER_ANSWER
    assert (iconqa.CHOOSE, iconqa.FILL) == (form.CHOOSE_OPTION, form.FILL_BLANK)
    assert vizwiz.INSTRUCTION.endswith(form.SHORT_ANSWER)
