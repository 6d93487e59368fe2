"""No malformed section or experiment ends in a traceback, and what an experiment needs hangs on whether it has data."""

from __future__ import annotations

import pytest
import yaml

from steering.errors import ParamsError
from steering.params import load
from tests.params_text import TINY


@pytest.mark.parametrize("section", ["default", "experiments", "arms", "worlds", "language_models", "sources"])
@pytest.mark.parametrize("content", ["3", "[a]", "null", "{a: 1}", "{1: {}}", "{a: [b]}", '"text"'])
def test_no_malformed_section_ends_in_a_traceback(tmp_path, section, content):
    whole = yaml.safe_load(TINY) | {section: yaml.safe_load(content)}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    with pytest.raises(ParamsError, match=section):
        load(tmp_path / "params.yaml")


EXPERIMENT_KEYS = ["world", "data", "arms", "control", "seeds", "attention", "split", "title", "question", "extends"]
MALFORMED = [(key, content) for key in EXPERIMENT_KEYS for content in (3, ["a"], {"a": 1}, None)]
MALFORMED.remove(("data", None))  # without data an experiment is sized only


@pytest.mark.parametrize(("key", "content"), MALFORMED)
def test_no_malformed_experiment_ends_in_a_traceback(tmp_path, key, content):
    whole = yaml.safe_load(TINY)
    whole["experiments"]["table"][key] = content
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    with pytest.raises(ParamsError, match=rf"experiments\.table\.{key}"):
        load(tmp_path / "params.yaml")


def test_an_experiment_without_data_needs_no_attention(tmp_path):
    whole = yaml.safe_load(TINY)
    del whole["experiments"]["table"]["data"], whole["experiments"]["table"]["attention"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    assert load(tmp_path / "params.yaml").experiments["table"].data is None


def test_an_experiment_with_data_needs_attention_and_a_pretrained_connector(tmp_path):
    whole = yaml.safe_load(TINY)
    del whole["experiments"]["table"]["attention"], whole["worlds"]["small"]["pretrain"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load(tmp_path / "params.yaml")
    assert "experiments.table.attention: missing" in str(caught.value)
    assert "experiments.table.data: mix in world small, which has no pretrain" in str(caught.value)
