"""Conditions are a small part of SQL, and errors point at the place."""

import pickle
from fractions import Fraction

import pytest

from onepass.selection.parse import parse_moment, parse_where
from onepass.selection.rows import Selection
from onepass.selection.tree import And, Compare, IsNull, Like, Moment, Not, OneOf, Or, columns_of

NEW_YEAR = Moment(Fraction(1767225600), "2026-01-01")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("country = 'IS'", Compare("country", "=", "IS")),
        ("5 < x", Compare("x", ">", Fraction(5))),
        ("x != -1.5e3", Compare("x", "<>", Fraction(-1500))),
        ("x = 0.1", Compare("x", "=", Fraction(1, 10))),
        ("day >= 2026-01-01", Compare("day", ">=", NEW_YEAR)),
        ("day >= date '2026-01-01'", Compare("day", ">=", NEW_YEAR)),
        ("a.b.c.d.e.f = true", Compare("a.b.c.d.e.f", "=", True)),
        ('"a b" is null', IsNull("a b")),
        ("x is not null", Not(IsNull("x"))),
        ("name not like 'a''b%'", Not(Like("name", "a'b%"))),
        ("x in (1, 'a')", OneOf("x", (Fraction(1), "a"))),
        ("not is_new", Not(Compare("is_new", "=", True))),
        (
            "a = 1 and b = 2 or c = 3",
            Or(
                (
                    And((Compare("a", "=", Fraction(1)), Compare("b", "=", Fraction(2)))),
                    Compare("c", "=", Fraction(3)),
                )
            ),
        ),
        (
            "x between 1 and 2",
            And((Compare("x", ">=", Fraction(1)), Compare("x", "<=", Fraction(2)))),
        ),
        ("date = 1", Compare("date", "=", Fraction(1))),
        ("timestamp = '2'", Compare("timestamp", "=", "2")),
    ],
)
def test_conditions_are_read_as_sql_reads_them(text, expected):
    assert parse_where(text) == expected
    assert pickle.loads(pickle.dumps(expected)) == expected


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("x = ", 3, "something is missing"),
        ("x = 5 y", 7, "did not expect 'y'"),
        ("a = b", 5, "text stands in single quotes"),
        ('country = "IS"', 11, "text stands in single quotes"),
        ("x + 1 > 2", 1, "expected the name of a column"),
        ("lower(name) = 'a'", 1, "expected the name of a column"),
        ("x > 1 and day >= 2026-13-01", 18, "expected a date such as 2026-01-31"),
        ("x in ()", 1, "expected a list of values"),
        ("x like 5", 8, "expected 'text'"),
        ("x = 1e400", 5, "below 1e308"),
        ("y = 1 and x ilike 'a'", 11, "expected a comparison"),
        ("x in (1", 7, "expected )"),
    ],
)
def test_errors_point_at_the_place(text, place, words):
    with pytest.raises(ValueError, match="at character") as error:
        parse_where(text)
    assert words in str(error.value)
    assert f"at character {place} of" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "", "x = null", "x is true", "a = 1; b = 2", "x in (select 1)", "exists(select 1)", "*",
        "x = $1", "x = 'open", "x = {{a}}", "case when x then y end", "x = 2026-01-01 12:00",
        "(" * 5000 + "x = 1" + ")" * 5000, "not " * 500 + "x", "x = 1e-999999999", "x" * 200_000,
        "x = (1)", "a is null = b", "x = 1 as y", "x::int = 1", "x between 1", "select x", "drop x",
    ],
)  # fmt: skip
def test_everything_else_is_refused_in_a_line(text):
    with pytest.raises(ValueError, match=r"\S") as error:
        parse_where(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_long_chains_are_no_deep_trees():
    text = " or ".join(f"x = {n}" for n in range(2000))
    assert len(parse_where(text).parts) == 2000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01", 1767225600),
        ("2026-01-01T00:00:01.5", Fraction(3534451203, 2)),
        ("2026-01-01 01:00+01:00", 1767225600),
        ("1969-12-31 23:59:59.000000001Z", Fraction(-999999999, 10**9)),
        ("0001-01-01", -62135596800),
        ("2026-02-30", None),
        ("2026-1-1", None),
        ("20260101", None),
    ],
)
def test_moments_are_exact(text, seconds):
    found = parse_moment(text)
    assert (found and found.seconds) == seconds


def test_selection_is_pickled_as_its_text_and_names_its_columns():
    selection = Selection("b > 1 or a = 2 or b is null")
    assert selection.columns == columns_of(parse_where(selection.where)) == ["b", "a"]
    assert pickle.loads(pickle.dumps(selection)) == selection
    assert Selection.of(None, None, 5, False) is None
