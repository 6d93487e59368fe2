"""The benchmark of the training step: that both sides do the same work, and what the record holds."""

from __future__ import annotations

import pytest
import torch

from benchmarks.pairs import COMPARISONS, ORDERS, Contender, batches, padding
from benchmarks.peer import IGNORED, PICTURE, Peer, questions
from benchmarks.training import agreed, main, peak_flops, rows_of, throughput_rows
from benchmarks.workload import ARMS, SIZES, AllLogits, Workload, alone, asked, length, parameters, step_flops
from steering.arms import LanguageShape
from steering.cost import attention_flops, layer_weights
from steering.data.collate import collate
from steering.errors import SteeringError
from steering.manifest import read_json
from steering.train.optimiser import trainable

CPU = torch.device("cpu")
WITHIN = 1e-4


@pytest.fixture(scope="module")
def load():
    return Workload(SIZES["small"], dtype="float32", device=CPU)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "training.json"
    main(["--size=small", "--repeats=2", "--warmup=0", "--device=cpu", f"--out={out}"])
    return read_json(out)


@pytest.mark.parametrize("arm", ARMS)
def test_ours_and_trainer_go_the_same_way(load, arm):
    ours, peer, rows = load.ours(arm), Peer(load, arm), questions(load.samples)
    for _ in range(4):
        assert ours.step(load.samples) == pytest.approx(peer.step(rows), abs=WITHIN)
    moved = dict(peer.model.named_parameters())
    for name, parameter in trainable(ours.model).items():
        torch.testing.assert_close(parameter, moved[name], atol=WITHIN, rtol=0)


def test_the_agreement_of_losses_tells_a_missing_edit_and_a_missing_picture(load):
    steered = load.ours("mores").loss(load.samples)
    assert abs(steered - load.ours("connector").loss(load.samples)) > 10 * WITHIN
    blind = questions(load.samples)
    for row in blind:
        row["features"] = torch.zeros_like(row["features"])
    assert abs(steered - Peer(load, "mores").loss(blind)) > 10 * WITHIN


def test_rows_logits_and_features_leave_the_loss_as_it_is(load):
    live, cached = load.pictured(load.samples)
    ours, everywhere = load.ours("mores"), load.ours("mores", kind=AllLogits)
    encoding = load.ours("mores", vision=load.encoder)
    base = ours.loss(load.samples)
    assert ours.loss(alone(load.samples)) == pytest.approx(base, abs=WITHIN)
    assert everywhere.loss(load.samples) == pytest.approx(base, abs=WITHIN)
    assert encoding.loss(live) == pytest.approx(ours.loss(cached), abs=WITHIN)


def test_the_models_of_both_sides_share_the_frozen_weights_and_nothing_else(load):
    ours, peer = load.ours("mores").model, Peer(load, "mores").model
    own = {parameter.data_ptr() for parameter in ours.parameters()}
    others = {parameter.data_ptr() for parameter in peer.parameters()}
    assert own & others == {parameter.data_ptr() for parameter in load.base.parameters()}
    assert not any(parameter.requires_grad for parameter in load.base.parameters())


def test_the_peer_sees_one_question_with_a_picture_of_its_own_in_each_row(load):
    rows = questions(load.samples)
    assert len(rows) == asked(load.samples) == load.size.pictures * load.size.questions
    for row in rows:
        assert row["input_ids"].count(PICTURE) == len(row["features"]) == load.size.visual
        supervised = [token for token in row["labels"] if token != IGNORED]
        assert 1 <= len(supervised) <= 4 and row["input_ids"][-len(supervised) :] == supervised
    assert len({len(row["input_ids"]) for row in rows}) > 1


@pytest.mark.parametrize("order", ORDERS)
def test_a_pass_sees_every_conversation_once_in_either_order(load, order):
    found = batches(load, order)
    assert sorted(sum(found, [])) == list(range(load.size.population))
    assert {len(batch) for batch in found} == {load.size.batch}


@pytest.mark.parametrize("size", SIZES)
def test_batches_of_like_lengths_have_less_padding(size):
    grouped, drawn = padding(Workload(SIZES[size], dtype="float32", device=CPU)).values()
    assert 0 < grouped < drawn / 2


def test_grouped_and_drawn_count_the_tokens_of_the_steps_they_took(load):
    for contender, order in zip(COMPARISONS["grouping"].pair(load), ORDERS, strict=True):
        lengths = [[length(load.mixed[index]) for index in batch] for batch in batches(load, order)]
        for start in (0, 4):
            assert contender.run() == sum(map(sum, lengths[start : start + 4]))


def test_the_flops_of_a_step_are_those_of_its_parts(load):
    model, batch = load.ours("connector").model, collate(load.samples)
    shape = LanguageShape.of(model.config)
    layers = 4 * layer_weights(shape) + 3 * attention_flops(shape, batch.input_ids.shape[1])
    head = 4 * int(batch.marks.answer.sum()) * shape.hidden * shape.vocabulary
    visual = load.size.pictures * load.size.visual
    assert step_flops(model, batch) == batch.tokens * layers + head + 4 * visual * parameters(model.connector)


@pytest.mark.parametrize(
    ("chip", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("Tesla T4", None),
    ],
)
def test_the_peak_of_a_chip_goes_by_its_name(chip, peak):
    assert peak_flops(chip) == peak


def test_contenders_whose_losses_differ_are_not_measured():
    pair = tuple(Contender(f"{loss}", lambda: 1, lambda loss=loss: loss) for loss in (1.0, 1.1))
    with pytest.raises(SteeringError, match="not the same step"):
        agreed(pair, within=WITHIN)


def test_the_record_holds_circumstances_the_work_raw_rounds_and_ratios(record):
    known = {"date", "commit", "versions", "machine", "settings", "workload", "comparisons", "throughput"}
    assert record.keys() == known
    assert {"torch", "transformers", "accelerate"} <= record["versions"].keys()
    assert list(record["comparisons"]) == list(COMPARISONS)
    for name, row in record["comparisons"].items():
        assert [len(values) for values in row["raw"].values()] == [2, 2]
        assert row["low"] <= row["value"] <= row["high"]
        assert len(row["losses"]) == (0 if name == "grouping" else 2)


def test_the_target_is_against_trainer(record):
    judged = {name for name, row in record["comparisons"].items() if row["verdict"] is not None}
    assert judged == {"trainer_connector", "trainer_mores"}
    assert {record["comparisons"][name]["limit"] for name in judged} == {0.85}


def test_a_cpu_has_a_rate_and_no_peak(record):
    told = record["throughput"]
    assert told["tokens_per_second"] > told["questions_per_second"] > 0
    assert told["model_flops_share"] is None and told["peak_memory_bytes"] is None
    assert [row[0] for row in throughput_rows(record)[1:]] == [name for name, found in told.items() if found]


def test_the_table_has_a_line_per_comparison(record):
    rows = rows_of(record)
    assert [row[0].split(":")[0] for row in rows[1:]] == list(COMPARISONS)
    assert {len(row) for row in rows} == {6}


def test_both_sides_agree_in_bfloat16():
    load = Workload(SIZES["small"], dtype="bfloat16", device=CPU)
    for arm in ARMS:
        theirs = Peer(load, arm).step(questions(load.samples))
        assert load.ours(arm).step(load.samples) == pytest.approx(theirs, abs=2e-2)


def test_only_what_is_trained_moves_at_a_small_size():
    check_two_steps(Workload(SIZES["small"], dtype="bfloat16", device=CPU))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.timeout(900)
def test_only_what_is_trained_moves_at_3b():
    check_two_steps(Workload(SIZES["3b"], dtype="bfloat16", device=torch.device("cuda")))


def check_two_steps(load: Workload) -> None:
    """The last layer's edit is left out: nothing reads the positions that it edits."""
    ours, frozen = load.ours("mores"), checksums(load.base)
    before = {name: parameter.detach().clone() for name, parameter in trainable(ours.model).items()}
    losses = [ours.step(load.samples) for _ in range(2)]
    assert all(torch.isfinite(torch.tensor(losses)))
    assert checksums(load.base) == frozen
    last = f"layers.{load.size.language['num_hidden_layers'] - 1}."
    for name, parameter in trainable(ours.model).items():
        assert last in name or not torch.equal(parameter, before[name]), name


def checksums(model: torch.nn.Module) -> dict[str, int]:
    """The sum of the bits of each bfloat16 parameter."""
    return {name: int(parameter.view(torch.int16).sum()) for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("arguments", [["--only", "shairing"], ["--repeats", "0"], ["--size", "huge"]])
def test_unknown_names_and_sizes_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "argument --" in capsys.readouterr().err
