"""Connectors: the papers' sizes, float32 throughout, complete in their file."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from steering.errors import CheckpointError, ParamsError
from steering.model.connectors import CONNECTORS, Connector, build_connector, load_connector, save_connector

WIDTH, HIDDEN = 6, 10
SETTINGS = {
    "resampler": {"queries": 3, "layers": 2, "heads": 2},
    "qformer": {"queries": 4, "layers": 2, "heads": 2, "hidden": 8},
}
TOKENS = {"resampler": 3, "qformer": 4}  # all others: one for each of the 5 features


def made(kind: str = "mlp2_norm", *, width: int = WIDTH, hidden: int = HIDDEN) -> Connector:
    torch.manual_seed(0)
    hidden = width if kind == "identity" else hidden
    connector = build_connector(kind, width=width, hidden=hidden, scale=0.3, settings=SETTINGS.get(kind))
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
def test_visual_tokens_are_float32_and_as_many_as_told(kind: str, dtype: torch.dtype) -> None:
    connector, tokens = made(kind), TOKENS.get(kind, 5)
    visual = connector(features(dtype))
    assert connector.tokens(5) == tokens
    assert (visual.dtype, visual.shape) == (torch.float32, (2, tokens, WIDTH if kind == "identity" else HIDDEN))


@pytest.mark.parametrize("kind", CONNECTORS)
def test_autocast_around_a_connector_changes_nothing(kind: str) -> None:
    connector = made(kind)
    with torch.autocast("cpu", torch.bfloat16):
        visual = connector(features())
    assert torch.equal(visual, connector(features()))


@pytest.mark.parametrize("kind", CONNECTORS)
def test_training_mode_is_as_evaluation_mode(kind: str) -> None:
    connector = made(kind)
    assert torch.equal(connector.train()(features()), connector.eval()(features()))


@pytest.mark.parametrize("kind", CONNECTORS)
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    connector = made(kind)
    visual = connector(features())
    if kind == "identity":
        assert list(connector.parameters()) == []
        return
    (visual * torch.randn(visual.shape)).sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().max() > 0
        for name, p in connector.named_parameters()
        if not name.endswith("key.bias")
    )  # softmax cannot see what all keys share


@pytest.mark.parametrize("kind", SETTINGS)
def test_queries_read_every_feature_in_whatever_order(kind: str) -> None:
    connector, seen = made(kind), features()
    visual = connector(seen)
    assert torch.allclose(connector(seen.flip(1)), visual, atol=1e-5)
    for place in range(5):
        other = seen.clone()
        other[:, place] += 1
        assert not torch.allclose(connector(other), visual, atol=1e-6)
    assert connector(seen[:, :2]).shape == visual.shape


@pytest.mark.parametrize("kind", SETTINGS)
def test_more_layers_and_queries_are_settings(kind: str) -> None:
    more = SETTINGS[kind] | {"queries": 7, "layers": 4}
    connector = build_connector(kind, width=WIDTH, hidden=HIDDEN, settings=more)
    assert connector(features()).shape == (2, 7, HIDDEN)
    assert sum(p.numel() for p in connector.parameters()) > sum(p.numel() for p in made(kind).parameters())


def test_identity_passes_features_as_they_are() -> None:
    assert torch.equal(made("identity")(features()), features())


def test_identity_needs_features_as_wide_as_the_words() -> None:
    with pytest.raises(ParamsError, match="found 6, allowed 10"):
        build_connector("identity", width=6, hidden=10)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("linear", {"queries": 3}, "connector_settings.queries: unknown; linear takes no settings"),
        ("resampler", {"query": 3}, r"query: unknown; resampler takes queries, layers, heads \(did you mean queries"),
        ("qformer", {"layers": 0}, "connector_settings.layers: 0; allowed 1 or more"),
        ("resampler", {"heads": 4}, "heads: 4; allowed what divides the features' width 6"),
        ("qformer", {"hidden": 9, "heads": 2}, "heads: 2; allowed what divides hidden, 9"),
    ],
)
def test_settings_that_do_not_fit_are_refused(kind: str, settings: dict[str, int], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        build_connector(kind, width=WIDTH, hidden=HIDDEN, settings=settings)


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


@pytest.mark.parametrize("kind", CONNECTORS)
def test_saved_and_loaded_connectors_are_bit_for_bit_the_same(kind: str, tmp_path) -> None:
    connector, other = made(kind), made(kind)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    save_connector(connector, tmp_path / "connector.safetensors")
    loaded = load_connector(other, tmp_path / "connector.safetensors")
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
    with pytest.raises(
        ParamsError, match="mlp3 is unknown; allowed: identity, linear, mlp2_gelu, mlp2_norm, resampler, qformer"
    ):
        build_connector("mlp3", width=1, hidden=1)
