"""A checkpoint is whole or not there; the newest sound one is used; none sound is an error, never a fresh start."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from steering.arms import LoraSettings, MoresSettings, NoneSettings
from steering.errors import CheckpointError
from steering.model.composed import ComposedModel
from steering.train import checkpoint
from steering.train.checkpoint import CheckpointStore
from steering.train.engine import TorchEngine
from steering.train.optimiser import Recipe, shapes, trainable

RECIPE = Recipe(steps=20, conversations=1, connector_learning_rate=1e-2, method_learning_rate=1e-2)
FILES = ["weights.safetensors", "moments.safetensors", "run.json", "checksums.json"]
RUN = {"arm": "a", "base": "b", "conversations": "c"}


class Training:
    """A model in its engine, moved by made-up gradients that follow from the step."""

    def __init__(self, model: ComposedModel):
        self.model, self.done = model, 0
        self.engine = TorchEngine(model, RECIPE)

    def go_to(self, step: int) -> Training:
        while self.done < step:
            generator = torch.Generator().manual_seed(self.done + 1)
            for parameter in trainable(self.model).values():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            self.engine.update(self.done)
            self.done += 1
        return self

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().clone() for name, parameter in trainable(self.model).items()}


def store_in(folder: Path, **options: Any) -> CheckpointStore:
    return CheckpointStore(folder, **{"every": 2, "run": RUN, **options})


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def fresh(make_model: Callable) -> Callable[..., Training]:
    return lambda arm=None: Training(make_model(arm or MoresSettings()))


@pytest.fixture
def saved(fresh: Callable, tmp_path: Path) -> Path:
    """A folder with checkpoints at steps 2 and 4."""
    training, store = fresh(), store_in(tmp_path / "checkpoints")
    for step in (2, 4):
        store.save(step, training.go_to(step).engine.state())
    return tmp_path / "checkpoints"


def resumed(folder: Path, training: Training, **options: Any) -> int:
    found = store_in(folder, **options).newest(shapes(training.model))
    if found is not None:
        training.done, state = found
        training.engine.restore(state)
    return training.done


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def test_a_folder_without_checkpoints_starts_at_zero(fresh: Callable, tmp_path: Path) -> None:
    training = fresh()
    before = training.weights()
    assert resumed(tmp_path / "new", training) == 0
    assert same(training.weights(), before)


@pytest.mark.parametrize(
    "settings", [NoneSettings(), LoraSettings(rank=2), MoresSettings(rank=2)], ids=lambda arm: arm.method
)
def test_a_restored_training_goes_on_bit_for_bit(settings: Any, fresh: Callable, tmp_path: Path) -> None:
    whole = fresh(settings)
    store_in(tmp_path / "c").save(4, whole.go_to(4).engine.state())
    again = fresh(settings)
    assert resumed(tmp_path / "c", again) == 4
    assert same(again.weights(), whole.weights())
    assert same(again.engine.state().moments, whole.engine.state().moments)
    assert same(again.go_to(9).weights(), whole.go_to(9).weights())


def test_the_newest_sound_checkpoint_is_used(saved: Path, fresh: Callable) -> None:
    training = fresh()
    assert resumed(saved, training) == 4
    assert same(training.weights(), fresh().go_to(4).weights())


@pytest.mark.parametrize("damage", [truncate, flip, empty, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_named_and_the_older_one_used(
    name: str, damage: Callable, saved: Path, fresh: Callable, capsys: pytest.CaptureFixture
) -> None:
    damage(saved / "step-00000004" / name)
    training = fresh()
    assert resumed(saved, training) == 2
    assert same(training.weights(), fresh().go_to(2).weights())
    told = capsys.readouterr().err
    assert "step-00000004" in told
    assert "missing" in told if damage is Path.unlink else "damaged" in told or "missing" in told
    assert name in told or name == "checksums.json"


def test_checkpoints_of_which_none_is_sound_are_an_error(saved: Path, fresh: Callable) -> None:
    for folder in saved.iterdir():
        flip(folder / "weights.safetensors")
    training = fresh()
    before = training.weights()
    with pytest.raises(CheckpointError, match="no checkpoint will do"):
        resumed(saved, training)
    assert same(training.weights(), before)


def test_a_damaged_checkpoint_is_replaced_when_the_run_comes_by_again(saved: Path, fresh: Callable) -> None:
    flip(saved / "step-00000004" / "moments.safetensors")
    training = fresh()
    assert resumed(saved, training) == 2
    store_in(saved).save(4, training.go_to(4).engine.state())
    assert resumed(saved, fresh()) == 4


def test_a_leftover_partial_is_removed_and_not_used(saved: Path, fresh: Callable) -> None:
    shutil.copytree(saved / "step-00000004", saved / ".step-00000006")
    training = fresh()
    assert resumed(saved, training) == 4
    store_in(saved).save(8, training.go_to(8).engine.state())
    assert names(saved) == ["step-00000004", "step-00000008"]


@pytest.mark.parametrize("moment", ["save_file", "sha256_file", "flush_to_disk"])
def test_a_save_cut_short_leaves_the_older_checkpoints(
    moment: str, saved: Path, fresh: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    training = fresh()
    resumed(saved, training)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, moment, cut)
        with pytest.raises(OSError, match="No space left"):
            store_in(saved).save(6, training.go_to(6).engine.state())
    assert not (saved / "step-00000006").exists()
    assert resumed(saved, fresh()) == 4


def test_files_are_on_disk_before_the_checkpoint_has_its_name(
    fresh: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[list[str]] = []
    monkeypatch.setattr(checkpoint, "flush_to_disk", lambda folder: flushed.append([folder.name, *names(folder)]))
    store_in(tmp_path / "c").save(1, fresh().engine.state())
    assert flushed == [[".step-00000001", *sorted(FILES)]]
    assert names(tmp_path / "c") == ["step-00000001"]


def test_only_the_newest_are_kept(fresh: Callable, tmp_path: Path) -> None:
    state, store = fresh().engine.state(), store_in(tmp_path / "c", keep=2)
    for step in range(1, 12):
        store.save(step, state)
    assert names(tmp_path / "c") == ["step-00000010", "step-00000011"]


def test_saving_is_due_every_so_many_steps(tmp_path: Path) -> None:
    assert [step for step in range(1, 8) if store_in(tmp_path, every=3).due(step)] == [3, 6]


@pytest.mark.parametrize("other", [MoresSettings(rank=2), LoraSettings(rank=2), NoneSettings()], ids=str)
def test_a_checkpoint_of_other_parameters_is_refused(other: Any, saved: Path, fresh: Callable) -> None:
    training = fresh(other)
    before = training.weights()
    with pytest.raises(CheckpointError, match="step-00000004: of another run: its trainable parameters are not this"):
        resumed(saved, training)
    assert same(training.weights(), before)


@pytest.mark.parametrize("key", RUN)
def test_a_checkpoint_of_another_arm_base_or_data_is_refused_by_name(key: str, saved: Path, fresh: Callable) -> None:
    with pytest.raises(CheckpointError, match=f"step-00000004: of another run: {key} is {RUN[key]}, here z"):
        resumed(saved, fresh(), run=RUN | {key: "z"})


def test_behind_a_strangers_checkpoint_this_runs_own_is_used(
    saved: Path, fresh: Callable, capsys: pytest.CaptureFixture
) -> None:
    stranger = store_in(saved, run=RUN | {"arm": "rank 8"}, keep=9)
    stranger.save(6, fresh().go_to(6).engine.state())
    training = fresh()
    assert resumed(saved, training) == 4
    assert same(training.weights(), fresh().go_to(4).weights())
    assert "step-00000006: of another run: arm is rank 8, here a; trying an older checkpoint" in capsys.readouterr().err


def test_a_checkpoint_holds_what_is_trained_and_no_more(saved: Path, fresh: Callable) -> None:
    from safetensors.torch import load_file

    held = load_file(saved / "step-00000004" / "weights.safetensors")
    assert set(held) == set(trainable(fresh().model))
