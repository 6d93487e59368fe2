"""The benchmark of prediction: that all ways answer alike, and what the record holds."""

from __future__ import annotations

import pytest
import torch

from benchmarks import answering
from benchmarks.answering import ENDINGS, FORMS, LONG, WORLDS, Answering
from benchmarks.prediction import LIMITS, NAMES, main, rows_of, ways_of
from steering.data.collate import collate
from steering.errors import SteeringError
from steering.evaluate import generate
from steering.manifest import read_json

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def load():
    return Answering("small", dtype="float32", device=CPU)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "prediction.json"
    main(["--size=small", "--repeats=2", "--warmup=0", "--device=cpu", f"--out={out}"])
    return read_json(out)


@pytest.mark.parametrize("name", FORMS)
def test_shared_pictures_padding_and_one_by_one_give_the_same_answers(load, name):
    form, samples = FORMS[name], load.asked(FORMS[name])
    said = answering.shared(load.ours, samples, form.answer)
    assert said == answering.batched(load.stock, samples, form.answer)
    assert said == answering.one_by_one(load.stock, samples, form.answer)
    assert len(said) == form.pictures * form.questions
    assert {len(ids) for ids in said} == {form.answer}
    assert len(set(map(tuple, said))) > form.pictures


def test_padding_on_the_left_or_on_the_right_answers_as_a_batch_of_one(load):
    samples = answering.alone(load.asked(FORMS["vqav2"]))
    assert len({len(sample.turns[0].question) for sample in samples}) > 1
    left, right = (
        generate.answer(load.ours, collate(samples, pad_left=side), max_new_tokens=8, closing=answering.CLOSING)
        for side in (True, False)
    )
    alone = [
        generate.answer(load.ours, collate([sample]), max_new_tokens=8, closing=answering.CLOSING)[0]
        for sample in samples
    ]
    assert left == right == alone


def test_answers_hang_on_picture_and_question(load):
    samples = load.asked(FORMS["pope"])
    said = answering.shared(load.ours, samples, 4)
    swapped = [
        answering.replace(sample, features=other.features)
        for sample, other in zip(samples, reversed(samples), strict=True)
    ]
    assert answering.shared(load.ours, swapped, 4) != said
    with pytest.raises(SteeringError, match="answers of other are not those of ours"):
        answering.same_answers({"ours": lambda: said, "other": lambda: said[::-1]})


@pytest.mark.parametrize("name", ENDINGS)
def test_shared_contexts_and_full_passes_give_the_same_log_likelihoods(load, name):
    ways, told = ways_of(name, load)
    assert told["questions"] == ENDINGS[name].contexts
    assert told["nats_apart"] < 1e-3
    assert len({value for own in ways["shared context"]() for value in own}) == 4 * told["questions"]


def test_log_likelihoods_apart_or_another_choice_are_not_measured():
    near, far = [[-1.0, -2.0]], [[-1.0, -2.5]]
    with pytest.raises(SteeringError, match="0.5 nats apart; allowed 0.1"):
        answering.same_values({"a": lambda: near, "b": lambda: far}, within=0.1)
    with pytest.raises(SteeringError, match="not the same choice"):
        answering.same_values({"a": lambda: near, "b": lambda: [[-2.0, -1.0]]}, within=9)


def test_long_answers_end_at_different_lengths_and_are_not_changed_by_leaving(load):
    before = generate.KEPT_SHARE
    ways, told = ways_of("leaving", load)
    assert told["questions"] == LONG.pictures * LONG.questions
    assert len(set(told["answer_tokens"])) > 4
    assert min(told["answer_tokens"]) < generate.STAY < max(told["answer_tokens"])
    assert ways["finished leave"]() == ways["finished stay"]()
    assert before == generate.KEPT_SHARE


def test_the_models_of_both_sides_share_their_weights(load):
    frozen = {parameter.data_ptr() for parameter in load.load.base.parameters()}
    for model in (load.ours, load.stock):
        assert frozen <= {parameter.data_ptr() for parameter in model.language_model.parameters()}


@pytest.mark.parametrize(("size", "tokens"), [("small", 36), ("medium", 576), ("3b", 729)])
def test_a_picture_takes_as_many_tokens_as_its_encoder_gives(size, tokens):
    assert WORLDS[size].visual == tokens


def test_the_record_holds_circumstances_the_work_raw_rounds_and_ratios(record):
    assert record.keys() == {"date", "commit", "versions", "machine", "settings", "workload", "comparisons"}
    assert list(record["comparisons"]) == list(NAMES)
    for row in record["comparisons"].values():
        assert all(len(values) == 2 for values in row["raw"].values())
        assert row["ratios"].keys() == row["raw"].keys() - {row["first"]}
        for found in row["ratios"].values():
            assert found["low"] <= found["value"] <= found["high"]
            assert (found["verdict"] is None) == (found["limit"] is None)


def test_targets_are_four_times_one_by_one_and_1_7_times_batched(record):
    found = {
        (name, other): told["limit"]
        for name, row in record["comparisons"].items()
        for other, told in row["ratios"].items()
        if told["limit"] is not None
    }
    assert found == LIMITS
    assert found["pope", "one by one"] == 1 / 4
    assert found["pope", "batched"] == found["vqav2", "batched"] == 1 / 1.7


def test_the_table_has_a_line_per_pair(record):
    rows = rows_of(record)
    assert len(rows) == 1 + sum(len(row["ratios"]) for row in record["comparisons"].values())
    assert {len(row) for row in rows} == {6}


@pytest.mark.parametrize("arguments", [["--only", "poope"], ["--repeats", "0"], ["--size", "huge"]])
def test_unknown_names_and_sizes_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "argument --" in capsys.readouterr().err
