"""Profile: how a sample of each column decides its use, and how the user overrules it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.missing import MISSING_TEXTS
from onepass.encode.scalar_kinds import Hashed, Numeric, OneHot
from onepass.errors import JobError
from onepass.survey.choice import Choice
from onepass.survey.naming import naming
from onepass.survey.profile import profile_columns


def profile(values, name="x", *, known_nulls=None, **choice):
    """Profile of one column."""
    table = pa.table({name: values})
    shares = {} if known_nulls is None else {name: known_nulls}
    wishes = Choice(**{key: tuple(names) for key, names in choice.items()})
    (found,) = profile_columns(table, shares, wishes, skip=set())
    return found


def days(n, unit="us", seconds=86_400):
    since_1970 = pa.array(np.arange(n) * seconds).cast(pa.timestamp("s"))
    return since_1970.cast(pa.timestamp(unit))


def repeated(values, n=500):
    return pa.array([values[i % len(values)] for i in range(n)])


@pytest.mark.parametrize(
    ("values", "planned"),
    [
        (repeated([1.5, 2.5, None]), "numeric"),
        (repeated([1, 2, 3]), "numeric"),
        (pa.array(np.arange(500, dtype=np.uint8)), "numeric"),
        (pa.array(np.arange(500).astype(np.float16)), "numeric"),
        (repeated([Decimal("1.25"), Decimal("3.50")]), "numeric"),
        (repeated([1.5, 2.5]).dictionary_encode(), "numeric"),
        (repeated([True, False, None]), "bool"),
        (repeated(["a", "b", None]), "one-hot (2 levels)"),
        (repeated(["a", "b"]).dictionary_encode(), "one-hot (2 levels)"),
        (repeated(["a", "b"]).cast(pa.large_string()), "one-hot (2 levels)"),
        (repeated(["a", "b"]).cast(pa.string_view()), "one-hot (2 levels)"),
        (repeated([f"t{i}" for i in range(64)]), "one-hot (64 levels)"),
        (repeated([f"t{i}" for i in range(65)]), "hashed"),
        (repeated([f"t{i}" for i in range(499)]), "left out"),
        (repeated([dt.date(2026, 1, 1), dt.date(2026, 1, 3)]), "time (trend)"),
        (days(7), "time (trend)"),
        (days(8), "time (trend, weekday)"),
        (days(366, "ns"), "time (trend, weekday, year)"),
        (days(100, "ms", seconds=3600), "time (trend, hour)"),
        (days(200, "s", seconds=3600), "time (trend, hour, weekday)"),
        (days(366).cast(pa.date32()), "time (trend, weekday, year)"),
        (repeated(["a"]), "left out"),
        (repeated([3.0]), "left out"),
        (repeated([3.0, None]), "numeric"),
        (pa.nulls(500), "left out"),
        (pa.nulls(500, pa.float64()), "left out"),
        (repeated([[1], [2]]), "vector of 1"),
        (repeated([{"a": 1}, {"a": 2}]), "left out"),
        (repeated([b"a", b"b"]), "left out"),
        (repeated([dt.time(1), dt.time(2)]), "time (hour)"),
    ],
)
def test_type_and_values_decide_the_use(values, planned):
    assert profile(values).planned == planned


@pytest.mark.parametrize(
    "name", ["shop_id", "id", "ID", "userId", "store key", "zip", "article.nr"]
)
def test_integers_named_like_ids_are_categories_with_a_warning(name):
    few, many, each = (repeated(list(range(n)), 1000) for n in (5, 300, 1000))
    assert profile(few, name).planned == "one-hot (5 levels)"
    found = profile(many, name)
    assert found.planned == "hashed"
    assert f"{name}: an integer id, read as a category ({naming('numeric', name)} " in found.warning
    found = profile(each, name)
    assert found.planned == "left out"
    assert naming("numeric", name) in found.warning


@pytest.mark.parametrize("name", ["paid", "humid", "monkey", "count", "grid", "x"])
def test_integers_of_other_names_are_numbers(name):
    assert profile(repeated(list(range(300))), name).planned == "numeric"


def test_floats_and_two_valued_integers_are_numbers_even_if_named_like_ids():
    assert profile(repeated([1.5, 2.5, 4.0]), "shop_id").planned == "numeric"
    assert profile(repeated([0, 1]), "shop_id").planned == "numeric"


def test_user_overrules_what_columns_look_like():
    ids = repeated(list(range(300)))
    assert profile(ids, "shop_id", numeric=["shop_id"]).planned == "numeric"
    assert profile(ids, "count", categorical=["count"]).planned == "hashed"
    assert profile(repeated([0, 1]), categorical=["x"]).use == OneHot(
        name="x", family="integer", levels=["0", "1"], missing=False, whole=True
    )
    assert profile(repeated([True, False]), categorical=["x"]).planned == "one-hot (2 levels)"
    each = repeated([f"t{i}" for i in range(500)])
    assert profile(each, categorical=["x"]).use == Hashed(
        name="x", family="text", blank_is_null=True, missing_texts=[*MISSING_TEXTS]
    )


@pytest.mark.parametrize(
    ("values", "choice"),
    [
        (repeated(["a", "b"]), {"numeric": ["x"]}),
        (repeated([True, False]), {"numeric": ["x"]}),
        (days(5), {"numeric": ["x"]}),
        (repeated([1.5, 2.5]), {"categorical": ["x"]}),
        (days(5), {"categorical": ["x"]}),
    ],
)
def test_use_that_the_type_does_not_allow_is_a_job_error(values, choice):
    (flag,) = choice
    with pytest.raises(JobError, match=f"--{flag} names 'x'"):
        profile(values, **choice)


def test_numbers_are_frozen_with_mean_and_deviation_of_the_finite_ones():
    values = np.array([1.0, 2.0, 4.0, np.nan, np.inf, -np.inf])
    column = profile(pa.array(values, from_pandas=False)).use
    finite = values[:3]
    assert isinstance(column, Numeric)
    assert column.missing
    assert column.center == pytest.approx(finite.mean())
    assert column.scale == pytest.approx(finite.std())


def test_null_feature_exists_if_sample_or_footers_have_nulls():
    for values in (repeated([1.0, 2.0]), repeated(["a", "b"]), repeated([True, False]), days(5)):
        assert not profile(values).use.missing
        assert not profile(values, known_nulls=0.0).use.missing
        assert profile(values, known_nulls=1e-9).use.missing
    assert profile(repeated([1.0, 2.0, None])).use.missing


def test_column_that_is_constant_but_for_nulls_elsewhere_is_used():
    assert profile(repeated(["a"]), known_nulls=0.01).planned == "one-hot (1 levels)"


def test_levels_are_sorted_by_frequency_and_then_by_name():
    values = pa.array(["b"] * 3 + ["z"] * 5 + ["a"] * 3 + [None] * 9 + ["ü"])
    assert profile(values).use.levels == ["z", "a", "b", "ü"]
    order = np.random.default_rng(0).permutation(len(values))
    assert profile(values.take(pa.array(order))).use.levels == ["z", "a", "b", "ü"]


def test_columns_left_out_for_their_content_are_warned_about():
    each = repeated([f"t{i}" for i in range(500)])
    for values in (repeated(["a"]), pa.nulls(9, pa.string()), each):
        assert profile(values).warning.startswith("x: ")
    assert profile(repeated([1.0, 2.0])).warning is None


def test_label_and_weight_are_not_profiled():
    table = pa.table({"a": [1, 2], "y": [1, 2], "w": [1, 2]})
    found = profile_columns(table, {}, Choice(), skip={"y", "w"})
    assert [column.name for column in found] == ["a"]
