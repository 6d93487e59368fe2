"""What a language model takes at once follows from its configuration."""

from __future__ import annotations

import pytest
from transformers import AutoConfig

from steering.model.limits import Limits


def test_limits_come_from_the_models_config() -> None:
    sizes = {"vocab_size": 300, "max_position_embeddings": 77, "num_hidden_layers": 2, "sliding_window": 9}
    assert Limits.of(AutoConfig.for_model("llama", **sizes)) == Limits(300, window=77)
    assert Limits.of(AutoConfig.for_model("qwen2", **sizes)) == Limits(300, window=77)
    assert Limits.of(AutoConfig.for_model("gemma2", **sizes)) == Limits(300, window=77, row=9)


@pytest.mark.parametrize(
    ("limits", "alone"), [(Limits(9), None), (Limits(9, window=5), 5), (Limits(9, window=5, row=4), 4)]
)
def test_a_text_alone_takes_the_smaller_of_both_windows(limits: Limits, alone: int | None) -> None:
    assert limits.alone == alone
