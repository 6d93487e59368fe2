"""pydantic's findings become lines that point into the file: no union tags, what was found, what is allowed."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steering.faults import readable


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Plain(Strict):
    method: Literal["plain"]


class Ranked(Strict):
    method: Literal["ranked"]
    rank: int = Field(ge=1)
    layers: Literal["all", "shallow"] | list[int] = "all"
    alpha: float = 1.0


class Extra(Strict):
    steps: int
    pace: float = 1.0


class Whole(Strict):
    title: str
    kind: Literal["red", "green"] = "red"
    arms: dict[Annotated[str, Field(pattern="^[a-z]+$")], Annotated[Plain | Ranked, Field(discriminator="method")]] = {}
    extra: Extra | None = None
    extras: list[Extra] = []


def told(raw) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(raw, strict=True)
    return list(readable(caught.value, Whole, raw))


def test_an_unknown_key_names_what_is_allowed_and_the_nearest():
    assert told({"title": "t", "exra": None}) == [
        "exra: unknown; allowed here: title, kind, arms, extra, extras (did you mean extra?)"
    ]


def test_a_missing_key_names_what_is_needed_and_not_what_is_optional():
    assert told({"title": "t", "extra": {"pace": 2.0}}) == ["extra.steps: missing; needed here: steps"]


def test_a_path_holds_no_union_tag():
    assert told({"title": "t", "arms": {"b": {"method": "ranked", "rank": 0}}}) == [
        "arms.b.rank: found 0; allowed: greater than or equal to 1"
    ]


def test_an_arm_called_like_a_method_keeps_its_name():
    assert told({"title": "t", "arms": {"ranked": {"method": "ranked", "rank": 0}}})[0].startswith("arms.ranked.rank: ")


def test_an_unknown_setting_of_an_arm_names_those_of_its_method():
    assert told({"title": "t", "arms": {"b": {"method": "ranked", "rank": 1, "alhpa": 2.0}}}) == [
        "arms.b.alhpa: unknown; allowed here: method, rank, layers, alpha (did you mean alpha?)"
    ]


def test_a_union_of_forms_is_one_line_with_all_that_is_allowed():
    assert told({"title": "t", "arms": {"b": {"method": "ranked", "rank": 1, "layers": "shalow"}}}) == [
        "arms.b.layers: found 'shalow'; allowed: 'all' or 'shallow' (did you mean shallow?) or a valid list"
    ]


@pytest.mark.parametrize("layers", [{"all": 1}, 3, None])
def test_no_form_of_a_union_shows_in_the_path(layers):
    (line,) = told({"title": "t", "arms": {"b": {"method": "ranked", "rank": 1, "layers": layers}}})
    assert line.startswith(f"arms.b.layers: found {layers!r}; allowed: ")


def test_an_entry_of_a_list_is_named_by_its_place():
    raw = {"title": "t", "extras": [{"steps": 1}, {"steps": "many"}]}
    assert told(raw) == ["extras.1.steps: found 'many'; allowed: a valid integer"]


@pytest.mark.parametrize("method", ["rankd", "Ranked"])
def test_an_unknown_method_names_the_nearest(method):
    assert told({"title": "t", "arms": {"b": {"method": method}}}) == [
        f"arms.b: method {method} is unknown; allowed: plain, ranked (did you mean ranked?)"
    ]


def test_an_arm_without_method_says_so():
    (line,) = told({"title": "t", "arms": {"b": {"rank": 1}}})
    assert line == "arms.b: method is missing; every entry here names its method"


def test_a_wrong_choice_names_the_nearest():
    assert told({"title": "t", "kind": "gren"}) == [
        "kind: found 'gren'; allowed: 'red' or 'green' (did you mean green?)"
    ]


@pytest.mark.parametrize("found", [7, True, None, ["t"]])
def test_a_wrong_type_shows_what_was_found(found):
    assert told({"title": found}) == [f"title: found {found!r}; allowed: a valid string"]


def test_a_name_with_other_letters_is_refused_under_its_own_path():
    (line,) = told({"title": "t", "arms": {"My-Arm": {"method": "plain"}}})
    assert line == "arms.My-Arm: found 'My-Arm'; allowed: what matches the pattern '^[a-z]+$'"


def test_findings_keep_their_order_and_all_are_told():
    raw = {"kind": "blue", "arms": {"b": {"method": "ranked", "rnk": 1}}, "extra": 5}
    assert [line.split(":")[0] for line in told(raw)] == ["title", "kind", "arms.b.rank", "arms.b.rnk", "extra"]
