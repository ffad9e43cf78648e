"""Columns of text: numbers, times, codes and words told apart as a reader would."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.encoder import Encoder
from onepass.encode.missing import MISSING_TEXTS
from onepass.encode.scalar_kinds import Numeric, Time
from onepass.encode.schema import Label, Schema
from onepass.errors import JobError
from onepass.survey.choice import Choice
from onepass.survey.lake_warnings import absurd_warnings
from onepass.survey.levels_or_line import Target
from onepass.survey.profile import profile_columns
from onepass.survey.whole_numbers import Clues

RNG = np.random.default_rng(0)
N = 600


def profile(values, name="x", *, label=None, **choice):
    wishes = Choice(**{key: tuple(names) for key, names in choice.items()})
    clues = Clues() if label is None else Clues(Target(label, nominal=False))
    (found,) = profile_columns(pa.table({name: values}), {}, wishes, set(), clues)
    return found


def texts(*values, n=N):
    return pa.array([values[i % len(values)] for i in range(n)])


AMOUNTS = [f"{amount:.2f}" for amount in RNG.gamma(2, 50, N)]


@pytest.mark.parametrize("markers", [[], ["?"], ["NA", "", None], ["-", " ", "null", "n/a"]])
def test_numbers_in_text_are_numbers_of_the_same_mean_and_deviation(markers):
    values = [*AMOUNTS, *markers]
    found = profile(pa.array(values))
    numbers = np.array(AMOUNTS, float)
    use = found.use
    assert isinstance(use, Numeric)
    assert (use.center, use.scale) == pytest.approx((numbers.mean(), numbers.std()))
    assert (use.text, use.missing, use.missing_texts) == (True, bool(markers), [*MISSING_TEXTS])
    assert found.reason.startswith("numbers in text")
    assert found.warning is None
    shown = {"" if text is None else text.strip() for text in markers} - {""}
    assert all(repr(text) in found.reason for text in shown)


DAYS = [(dt.date(2026, 1, 1) + dt.timedelta(days=i)).isoformat() for i in range(400)]


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (DAYS, ["trend", "weekday", "year"]),
        (DAYS[:30], ["trend", "weekday"]),
        (
            [f"{day}T0{i % 10}:30:00" for i, day in enumerate(DAYS[:9])],
            ["trend", "hour", "weekday"],
        ),
        ([*DAYS, "", "?", None, "N/A"], ["trend", "weekday", "year"]),
        ([f"{day} 12:00:00.25+02:00" for day in DAYS[:9]], ["trend", "hour", "weekday"]),
        ([*DAYS[:50], f"{DAYS[50]}T00:00:00Z"], ["trend", "weekday"]),
    ],
)
def test_dates_and_times_in_text_are_times(values, parts):
    found = profile(pa.array(values))
    assert isinstance(found.use, Time)
    assert (found.use.parts, found.use.text) == (parts, True)
    assert found.use.missing == (None in values)
    assert found.reason.startswith("dates and times in text")


def test_times_in_text_are_frozen_with_the_numbers_of_the_times_themselves():
    days = pa.array(DAYS)
    use, like = profile(days).use, profile(days.cast(pa.date32())).use
    assert use == like.model_copy(update={"text": True, "missing_texts": [*MISSING_TEXTS]})


@pytest.mark.parametrize(
    ("values", "planned"),
    [
        (texts("01234", "90210", "60601"), "one-hot (3 levels)"),
        (texts("007", "1", "12"), "one-hot (3 levels)"),
        (texts("90210", "60601", "10001"), "one-hot (3 levels)"),
        (texts(*(str(10_000 + i) for i in range(200))), "hashed"),
        (texts("1998", "2003", "2011"), "numeric"),
        (texts("12", "7", "104"), "numeric"),
        (texts("0.5", "0", "10"), "numeric"),
        (texts("12.50", "10000", "99999"), "numeric"),
        (texts("red", "12", "7"), "one-hot (3 levels)"),
        (texts("1,234", "56", "7,000"), "one-hot (3 levels)"),
        (texts("03/01/2026", "04/01/2026"), "one-hot (2 levels)"),
        (texts("20260301", "20260302"), "one-hot (2 levels)"),
        (texts("a", "", " ", "b"), "one-hot (2 levels)"),
        (texts("a", "NA", "?"), "one-hot (1 levels)"),
        (texts("NA", "?"), "left out"),
        (texts("", " "), "left out"),
        (texts("7", "?"), "numeric"),
    ],
)
def test_codes_words_and_other_dates_stay_categories(values, planned):
    for form in (values, values.dictionary_encode(), values.cast(pa.large_string())):
        assert profile(form).planned == planned


def test_numbers_in_text_that_are_named_like_ids_are_categories():
    found = profile(texts("12", "7", "104"), "shop_id")
    assert found.use.levels == ["104", "12", "7"]
    assert "--numeric shop_id" in found.warning


def test_blank_text_is_missing_among_words():
    found = profile(texts("a", "", "b", " "))
    assert found.use.missing
    assert found.null_share == pytest.approx(0.5)
    assert not profile(texts("a", "b")).use.missing


def test_share_of_nulls_is_that_of_all_texts_for_a_missing_value():
    for values in (texts("1.5", "?", "2", None), texts("2026-01-01", "NA", "2026-01-02", " ")):
        assert profile(values).null_share == 0.5
    assert profile(texts("2026-01-01", "-", "2026-01-02", "2026-01-03")).null_share == 0.25


@pytest.mark.parametrize(("n_unreadable", "is_read"), [(0, True), (6, True), (7, False)])
def test_of_a_hundred_texts_one_may_be_unreadable(n_unreadable, is_read):
    values = [*AMOUNTS[: N - n_unreadable], *["oops"] * n_unreadable]
    found = profile(pa.array(values))
    assert (found.planned == "numeric") == is_read
    if n_unreadable and is_read:
        assert found.warning.startswith("x: 1.00% of the texts cannot be read ('oops'); they count")
        assert "(--categorical x " in found.warning
        assert found.use.missing


def test_user_overrules_what_texts_look_like():
    assert profile(pa.array(AMOUNTS), categorical=["x"]).planned == "hashed"
    assert profile(texts("01234", "90210"), numeric=["x"]).planned == "numeric"
    found = profile(texts("12", "unknown", "7"), numeric=["x"])
    assert found.planned == "numeric"
    assert "33.33% of the texts cannot be read ('unknown')" in found.warning
    with pytest.raises(JobError, match="--numeric names 'x', but its type is text without a numb"):
        profile(texts("a", "b"), numeric=["x"])


def test_absurd_number_in_text_is_warned_about():
    table = pa.table({"x": [*AMOUNTS, "1e15", "?"]})
    (warning,) = absurd_warnings(table, profile_columns(table, {}, Choice(), skip=set()))
    assert warning.startswith("x: the value 1e+15 is over")


@pytest.mark.parametrize("known", ["12.5", "2026-03-01"])
@pytest.mark.parametrize("nothing", ["?", "", None, "null"])
def test_few_values_among_many_missing_texts_are_read(known, nothing):
    values = [nothing] * 20_000
    for i in range(3):
        values[7000 * i + 3] = known.replace("2", "1" if i else "2", 1)
    found = profile(pa.array(values, pa.string()))
    assert found.planned.split()[0] in {"numeric", "time"}
    assert found.null_share == pytest.approx(1 - 3 / 20_000)


POOL = [
    *("1", "2.5", "-3", "007", "1e3", "90210", "10001", "0", "nan", "inf", "1,5", "+4"),
    *("2026-03-01", "2026-03-01T10:00Z", "2026-13-01", "2026-03", "20260301", "03/01/2026"),
    *("", " ", "?", "NA", "null", "-", "none", "word", "ü", "Z", "T", "\t", "a b", "."),
]


@pytest.mark.parametrize("seed", range(40))
def test_any_texts_are_encoded_alike_plain_coded_or_in_pieces_and_every_odd_one_is_counted(seed):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(np.array([*POOL, None], object), rng.integers(1, 6))
    share = rng.dirichlet(np.full(len(chosen), 0.3))
    sample = pa.array(rng.choice(chosen, 300, p=share).tolist(), pa.string())
    use = profile(sample).use
    if use is None:
        return
    schema = Schema(columns=[use], label=Label(name="y"), weight=None, hash_bits=8, hive={})
    later = pa.array(rng.choice(np.array([*POOL, None], object), 60).tolist(), pa.string())

    def encode(values):
        found = Encoder(schema).encode(pa.table({"x": values}), {}, label=False)
        return found.block.dense, found.block.slots, found.counts

    wanted = encode(later)
    for form in (later.dictionary_encode(), later.cast(pa.large_string())):
        found = encode(form)
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])
        assert found[2] == wanted[2]
    pieces = [encode(later.slice(start, 7)) for start in range(0, 60, 7)]
    np.testing.assert_array_equal(np.concatenate([piece[0] for piece in pieces]), wanted[0])
    assert sum((piece[2] for piece in pieces), Counter()) == wanted[2]
    # Nothing of the sample itself is a surprise, but for the few texts that were not read.
    counts = encode(sample)[2]
    assert set(counts) <= {"unreadable_text"}
    assert counts["unreadable_text"] <= 3


def test_months_and_versions_are_levels():
    assert profile(texts("2025-01", "2025-02", "2025-11")).planned == "one-hot (3 levels)"
    assert profile(texts("2025-01-03", "2025-02-03", "2025-11-03")).use.kind == "time"
    assert profile(texts("1.1", "1.10", "1.9", "2.0")).planned == "one-hot (4 levels)"
    assert profile(texts("1.10", "1.90", "2.00")).planned == "numeric"


def test_few_decimals_are_levels_where_these_predict_better_than_a_line():
    sizes = np.array([6.5, 7.0, 7.5, 8.0, 8.5])
    code = RNG.integers(0, 5, 3000)
    values = pa.array([f"{size:.1f}" for size in sizes[code]])
    noise = RNG.normal(size=3000)
    found = profile(values, label=np.array([0.0, 4, -3, 2, 5])[code] + noise)
    assert found.planned == "one-hot (5 levels)"
    assert "levels predict the label better than a line" in found.warning
    assert profile(values, label=3 * sizes[code] + noise).planned == "numeric"


@pytest.mark.parametrize(
    ("values", "mark"),
    [
        (texts("$1,234.50", "$12.00", "$7.25", "?"), "."),
        (texts("12.5%", "3%", "100%"), "."),
        (texts("12%", "3%", "100%"), "."),
        (texts("1.234,50", "12,00", "7,25", None), ","),
        (texts("1 234,50 €", "12,00 €", "7,25 €"), ","),
        (texts("1,234,567", "12", "7,000"), "."),
    ],
)
def test_numbers_as_people_write_them_are_read_by_their_decimal_mark(values, mark):
    for form in (values, values.dictionary_encode()):
        found = profile(form)
        assert isinstance(found.use, Numeric)
        assert found.use.decimal_mark == mark
        assert found.reason.startswith(f"numbers in text (as 1{'.234,5' if mark == ',' else ','}")
        assert (found.warning is None) == (mark == ".")


def test_numbers_as_people_write_them_are_read_where_the_job_asks_for_numbers():
    values = texts("1.234,50 €", "12", "7,25", None)
    for choice in (Choice(numeric=("x",)), Choice(log=("x",))):
        (found,) = profile_columns(pa.table({"x": values}), {}, choice, ())
        assert isinstance(found.use, Numeric)
        assert found.use.decimal_mark == ","
        assert found.warning is None


@pytest.mark.parametrize(
    "values",
    [texts("1,234", "56", "7,000"), texts("1.234", "56%", "7.000"), texts("1,234", "8,001")],
)
def test_comma_that_may_be_a_decimal_mark_or_stand_between_thousands_is_left_to_the_user(values):
    found = profile(values)
    assert not isinstance(found.use, Numeric)
    assert "a comma or a point may be a decimal mark" in found.warning


@pytest.mark.parametrize(
    "values",
    [texts("030 123 456", "089 555 123"), texts("1,2,3", "4,5", "6"), texts("a,b", "1,5"),
     texts("30 123 456", "89 555 123")],
)  # fmt: skip
def test_lists_and_telephones_in_text_are_no_numbers(values):
    found = profile(values)
    assert not isinstance(found.use, Numeric)
    assert found.warning is None
