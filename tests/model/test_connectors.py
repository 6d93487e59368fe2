"""Connectors: the papers' sizes, float32 throughout, complete in their file."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from steering.errors import CheckpointError, ParamsError
from steering.model.connectors import CONNECTORS, Connector, build_connector, load_connector, save_connector

WIDTH, HIDDEN = 6, 10


def made(kind: str = "mlp2_norm", *, width: int = WIDTH, hidden: int = HIDDEN) -> Connector:
    torch.manual_seed(0)
    connector = build_connector(kind, width=width, hidden=hidden, scale=0.3)
    connector.standardise(torch.linspace(-1, 1, width), torch.linspace(0.5, 2, width))
    return connector


def features(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize(
    ("width", "hidden", "parameters"), [(1152, 2560, 9_507_840), (1024, 4096, 20_979_712), (1024, 5120, 31_467_520)]
)
def test_mlp2_gelu_has_the_papers_sizes(width: int, hidden: int, parameters: int) -> None:
    with torch.device("meta"):
        connector = build_connector("mlp2_gelu", width=width, hidden=hidden)
    assert sum(parameter.numel() for parameter in connector.parameters()) == parameters


@pytest.mark.parametrize("kind", CONNECTORS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_visual_tokens_are_float32_one_per_feature(kind: str, dtype: torch.dtype) -> None:
    visual = made(kind)(features(dtype))
    assert (visual.dtype, visual.shape) == (torch.float32, (2, 5, HIDDEN))


def test_features_are_standardised_before_the_layers() -> None:
    connector = made("linear")
    expected = connector.layers((features() - connector.mean) / connector.std)
    assert torch.equal(connector(features()), expected)
    assert torch.equal(connector.mean, torch.linspace(-1, 1, WIDTH))


def test_a_channel_that_never_varies_gives_finite_tokens() -> None:
    connector = made("linear")
    connector.standardise(torch.zeros(WIDTH), torch.zeros(WIDTH))
    assert connector(features()).isfinite().all()


def test_statistics_are_not_trained() -> None:
    assert {"mean", "std"}.isdisjoint(name for name, _ in made().named_parameters())


def test_mlp2_norm_starts_at_the_scale_of_the_words() -> None:
    spread = made("mlp2_norm")(features()).std(-1, correction=0)
    assert torch.allclose(spread, torch.full_like(spread, 0.3), rtol=1e-2)


def test_saved_and_loaded_connectors_are_bit_for_bit_the_same(tmp_path) -> None:
    connector = made()
    save_connector(connector, tmp_path / "connector.safetensors")
    loaded = load_connector(
        build_connector("mlp2_norm", width=WIDTH, hidden=HIDDEN), tmp_path / "connector.safetensors"
    )
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in connector.state_dict().items())
    assert torch.equal(loaded(features()), connector(features()))


@pytest.mark.parametrize("other", [made("mlp2_gelu"), made(width=WIDTH + 1), made(hidden=HIDDEN + 2)])
def test_another_connector_is_refused_and_nothing_changes(other: Connector, tmp_path) -> None:
    path, connector = tmp_path / "connector.safetensors", made()
    save_connector(other, path)
    before = connector(features())
    with pytest.raises(CheckpointError, match="holds another connector"):
        load_connector(connector, path)
    assert torch.equal(connector(features()), before)


def test_an_unknown_kind_is_refused_with_those_allowed() -> None:
    with pytest.raises(ParamsError, match="mlp3 is unknown; allowed: linear, mlp2_gelu, mlp2_norm"):
        build_connector("mlp3", width=1, hidden=1)
