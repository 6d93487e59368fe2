"""Arms: parameter counts of the papers, layer schedules, and what is wrong with an arm for a world."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from steering.arms import (
    QUARTERS,
    STRIDES,
    Arm,
    LanguageShape,
    LoraSettings,
    MoresSettings,
    MrtSettings,
    NoneSettings,
    Schedule,
    VisionShape,
    depth,
    steered_layers,
)
from steering.errors import ParamsError


def shape(
    family: str, *, hidden: int, layers: int, ffn: int, heads: int, kv_heads: int, vocabulary: int
) -> LanguageShape:
    return LanguageShape(
        family=family,  # type: ignore[arg-type]
        hidden=hidden,
        layers=layers,
        ffn=ffn,
        heads=heads,
        kv_heads=kv_heads,
        vocabulary=vocabulary,
    )


PHI_2 = shape("phi", hidden=2560, layers=32, ffn=10240, heads=32, kv_heads=32, vocabulary=51200)
VICUNA_7B = shape("llama", hidden=4096, layers=32, ffn=11008, heads=32, kv_heads=32, vocabulary=32000)
VICUNA_13B = shape("llama", hidden=5120, layers=40, ffn=13824, heads=40, kv_heads=40, vocabulary=32000)
VISION = VisionShape(tokens=16, width=1280)
SMALL = shape("llama", hidden=576, layers=30, ffn=1536, heads=9, kv_heads=3, vocabulary=49152)


@pytest.mark.parametrize(
    ("model", "count"), [(PHI_2, 188_743_680), (VICUNA_7B, 319_815_680), (VICUNA_13B, 500_695_040)]
)
def test_lora_counts_are_the_papers(model: LanguageShape, count: int) -> None:
    assert LoraSettings().trainable(model, VISION) == count


@pytest.mark.parametrize(("model", "count"), [(PHI_2, 163_872), (VICUNA_7B, 262_176), (VICUNA_13B, 409_640)])
def test_mores_counts_are_the_papers(model: LanguageShape, count: int) -> None:
    assert MoresSettings().trainable(model, VISION) == count


@pytest.mark.parametrize(("rank", "count"), [(2, 327_744), (4, 655_488), (8, 1_310_976)])
def test_mores_count_grows_with_the_rank(rank: int, count: int) -> None:
    assert MoresSettings(rank=rank).trainable(PHI_2, VISION) == count


def test_none_trains_nothing() -> None:
    assert NoneSettings().trainable(PHI_2, VISION) == 0


def test_named_targets_count_grouped_query_widths() -> None:
    assert LoraSettings(rank=2, targets=["q_proj", "k_proj"]).trainable(SMALL, VISION) == 30 * 2 * (
        576 + 576 + 576 + 192
    )


def test_schedules_of_32_layers_are_the_papers() -> None:
    assert steered_layers("all", 32) == tuple(range(32))
    assert steered_layers("every_2nd", 32) == tuple(range(0, 32, 2))
    assert steered_layers("every_3rd", 32) == tuple(range(0, 32, 3))
    assert steered_layers("every_4th", 32) == tuple(range(0, 32, 4))
    assert steered_layers("shallow", 32) == tuple(range(16))
    assert steered_layers("middle", 32) == tuple(range(8, 24))
    assert steered_layers("deep", 32) == tuple(range(16, 32))


def test_schedules_scale_with_the_depth() -> None:
    assert steered_layers("shallow", 30) == tuple(range(15))
    assert steered_layers("middle", 30) == tuple(range(7, 22))
    assert steered_layers("deep", 30) == tuple(range(15, 30))


def test_an_explicit_list_is_sorted() -> None:
    assert steered_layers([7, 0, 3], 8) == (0, 3, 7)


@given(st.sampled_from([*STRIDES, *QUARTERS]), st.integers(4, 200))
def test_every_schedule_rises_within_the_model(name: Schedule, count: int) -> None:
    layers = steered_layers(name, count)
    assert layers and list(layers) == sorted(set(layers)) and layers[0] >= 0 and layers[-1] < count


@given(st.integers(2, 200))
def test_shallow_and_deep_part_the_model(count: int) -> None:
    assert steered_layers("shallow", count) + steered_layers("deep", count) == tuple(range(count))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([], "layers: empty; allowed 0..29, each at most once"),
        ([30, -1, 2], "layers: -1, 30 outside the model; allowed 0..29"),
        ([1, 1], "layers: 1 more than once; allowed once each"),
        ("shalow", "layers: shalow is unknown; allowed all, every_2nd, every_3rd, every_4th, shallow, middle, deep"),
        ("first_31", "layers: first_31 of 30 layers; allowed first_1..first_30"),
        ("first_0", "layers: first_0 of 30 layers; allowed first_1..first_30"),
    ],
)
def test_a_bad_schedule_is_refused(layers: list[int] | str, said: str) -> None:
    with pytest.raises(ParamsError) as error:
        steered_layers(layers, 30)  # type: ignore[arg-type]
    assert error.value.faults[0].startswith(said)


@given(st.integers(1, 30))
def test_the_first_layers_cost_as_much_each(k: int) -> None:
    arm = TypeAdapter(Arm).validate_python({"method": "mores", "layers": f"first_{k}"}, strict=True)
    assert steered_layers(arm.layers, 30) == tuple(range(k))  # type: ignore[union-attr]
    assert arm.trainable(SMALL, VISION) == k * (2 * 576 + 1)
    assert arm.dead(SMALL, VISION) == (2 * 576 + 1 if k == 30 else 0)


@given(st.integers(1, 5), st.integers(1, 30))
def test_mrt_by_depth_has_the_sum_of_its_layers(seen: int, steered: int) -> None:
    vision = VisionShape(tokens=16, width=80, layers=(16, 24, 24, 40, 64, 80, 96))
    arm = MrtSettings(vision_layers=f"first_{seen}", layers=f"first_{steered}")
    assert arm.sites(SMALL, vision) == {
        "vision": sum(6 * (2 * width + 1) for width in (24, 24, 40, 64, 80)[:seen]),
        "connector": 6 * (2 * 576 + 1),
        "prefix": steered * 4 * (2 * 576 + 1),
        "suffix": steered * 4 * (2 * 576 + 1),
    }


def test_the_layers_of_an_encoder_are_counted_between_its_first_and_last() -> None:
    vision = VisionShape(tokens=16, width=80, layers=(16, 24, 40, 80))
    assert MrtSettings(vision_layers=[1]).edited_widths(vision) == [40]
    assert MrtSettings(vision_layers=[2]).faults(SMALL, vision) == ["vision_layers: 2 outside the model; allowed 0..1"]
    assert MrtSettings(vision_layers="first_3").faults(SMALL, vision) == [
        "vision_layers: first_3 of 2 layers; allowed first_1..first_2"
    ]
    assert MrtSettings(vision_rank=0, vision_layers=[2]).faults(SMALL, vision) == []


def test_an_arm_that_edits_all_of_its_encoder_has_the_slice_it_always_had() -> None:
    assert "vision_layers" not in MrtSettings().model_dump(mode="json")
    assert MrtSettings(vision_layers="first_2").model_dump(mode="json")["vision_layers"] == "first_2"


@pytest.mark.parametrize(
    ("layers", "told"),
    [("all", 30), ("first_4", 4), ("shallow", 15), ([1, 0], 2), ([1], None), ("deep", None), ("first_31", None)],
)
def test_a_depth_is_of_layers_from_the_first_without_a_gap(layers: str | list[int], told: int | None) -> None:
    assert depth(layers, 30) == told


def test_a_schedule_that_selects_nothing_is_refused() -> None:
    with pytest.raises(ParamsError, match="shallow of 1 selects nothing"):
        steered_layers("shallow", 1)


def test_good_arms_have_no_faults() -> None:
    for arm in (NoneSettings(), LoraSettings(), LoraSettings(targets=["q_proj"]), MoresSettings(layers=[0, 29])):
        assert arm.faults(SMALL, VISION) == []


def test_a_rank_above_the_hidden_size_is_a_fault() -> None:
    for arm in (LoraSettings(rank=600), MoresSettings(rank=600)):
        assert arm.faults(SMALL, VISION) == ["rank: 600 is above the hidden size; allowed 1..576"]


def test_a_ratio_of_less_than_one_token_is_a_fault() -> None:
    said = (
        "token_ratio: 0.05 selects nothing of 16 visual tokens; allowed 0.0625..1, or 0.01 for the first 4 and last 5"
    )
    assert MoresSettings(token_ratio=0.05).faults(SMALL, VISION) == [said]
    assert MoresSettings(token_ratio=0.0625).faults(SMALL, VISION) == []
    assert MoresSettings(token_ratio=0.01).faults(SMALL, VISION) == []


def test_unknown_lora_targets_are_faults() -> None:
    faults = LoraSettings(targets=["q_proj", "fc1", "down_prj", "q_proj"]).faults(SMALL, VISION)
    assert faults[0].startswith("targets: fc1 is unknown; allowed all-linear or some of q_proj")
    assert faults[1].endswith("(did you mean down_proj?)")
    assert faults[2] == "targets: q_proj more than once; allowed once each"
    assert LoraSettings(targets=["fc1"]).faults(PHI_2, VISION) == []
    assert LoraSettings(targets=[]).faults(SMALL, VISION)[0].startswith("targets: empty")


def test_all_faults_of_an_arm_come_at_once() -> None:
    arm = MoresSettings(rank=600, token_ratio=0.001, layers=[40, 40])
    assert [fault.split(":")[0] for fault in arm.faults(SMALL, VISION)] == ["rank", "token_ratio", "layers", "layers"]


def test_the_last_output_edit_is_dead() -> None:
    assert MoresSettings().dead(SMALL, VISION) == 2 * 576 + 1
    assert MoresSettings(placement="input").dead(SMALL, VISION) == 0
    assert MoresSettings(layers="shallow").dead(SMALL, VISION) == 0


def test_the_method_tells_the_arm() -> None:
    arm = TypeAdapter(Arm).validate_python({"method": "mores", "rank": 4, "layers": "deep"})
    assert arm == MoresSettings(rank=4, layers="deep")


def test_arms_do_not_load_torch() -> None:
    program = "import sys, steering.arms; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_box_is_a_list_in_yaml_and_in_a_slice() -> None:
    told = {"method": "mores", "tokens": {"box": [0.25, 0.25, 0.75, 0.75]}}
    arm = TypeAdapter(Arm).validate_python(told, strict=True)
    assert TypeAdapter(Arm).validate_python(arm.model_dump(mode="json")) == arm


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ({}, "nothing given; allowed one of box, patches, attended"),
        ({"patches": [1], "attended": 2}, "patches and attended given"),
        ({"box": [0.5, 0, 0.5, 1]}, "is empty; allowed left < right and top < bottom"),
    ],
)
def test_tokens_are_chosen_in_one_way(tokens: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TypeAdapter(Arm).validate_python({"method": "mores", "tokens": tokens})


def test_chosen_tokens_must_be_in_the_picture() -> None:
    def faults(**tokens: object) -> list[str]:
        arm = TypeAdapter(Arm).validate_python({"method": "mores", "tokens": tokens})
        return arm.faults(SMALL, VISION)

    assert faults(patches=[15]) == faults(attended=16) == faults(box=[0, 0, 1, 1]) == []
    assert faults(patches=[16]) == ["tokens.patches: 16 outside the picture; allowed 0..15"]
    assert faults(attended=17) == ["tokens.attended: 17 is above the visual tokens; allowed 1..16"]
