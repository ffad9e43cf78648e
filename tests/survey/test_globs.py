"""Names of columns may be patterns."""

import pytest

from onepass.errors import JobError
from onepass.survey.globs import expanded, without_patterns
from onepass.survey.profile import Choice

PRESENT = ["a", "ctx_a", "ctx_b", "id", "user_id", "y", "odd[1]", "odd1", "what?"]


def test_pattern_stands_for_the_columns_that_it_matches():
    assert expanded(["id", "ctx_*"], PRESENT, "features") == ["id", "ctx_a", "ctx_b"]
    assert expanded(["*id", "ctx_?"], PRESENT, "features") == ["id", "user_id", "ctx_a", "ctx_b"]
    assert expanded(["ctx_[ac]"], PRESENT, "features") == ["ctx_a"]
    assert expanded(["nothing"], PRESENT, "features") == ["nothing"]


def test_name_that_is_a_column_is_no_pattern():
    assert expanded(["odd[1]", "what?"], PRESENT, "exclude") == ["odd[1]", "what?"]


def test_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(JobError, match=r"exclude.*ctz_\*.*no column matches"):
        expanded(["ctz_*"], PRESENT, "exclude")


def test_name_wins_over_pattern_and_exclusion_over_features():
    choice = Choice(
        features=("*",), exclude=("ctx_*", "odd*"), numeric=("*id",), categorical=("id",)
    )
    found = without_patterns(choice, PRESENT, {"y"})
    assert "y" not in found.features
    assert not found.wants("ctx_a")
    assert found.wants("id")
    assert found.numeric == ("user_id",)
    assert found.categorical == ("id",)
    kept = without_patterns(Choice(features=("ctx_a",), exclude=("ctx_*",)), PRESENT, {"y"})
    assert kept.wants("ctx_a")
    assert not kept.wants("ctx_b")


def test_column_that_two_patterns_of_contrary_uses_match_is_an_error():
    with pytest.raises(JobError, match="user_id"):
        without_patterns(Choice(numeric=("user*",), categorical=("*_id",)), PRESENT, {"y"})
