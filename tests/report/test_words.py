"""Names and numbers as the page shows them."""

from __future__ import annotations

import math

import pytest

from onepass.report.words import distinct, moment, name, number, place, real, share, when


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("date=2026-03-02/part-0.parquet", "date=2026-03-02/part-0.parquet"),
        ("\x1b[31mred\n", r"\x1b[31mred\x0a"),
        ("invoice\u202efdp.parquet", r"invoice\u202efdp.parquet"),
        ("\ud800", r"\ud800"),
        ("zürich 東京", "zürich 東京"),
    ],
)
def test_a_name_has_nothing_that_steers(text, shown):
    assert name(text) == shown


def test_a_long_name_is_cut_in_its_middle():
    cut = name("a" * 100 + "z" * 100_000 + "-end")
    assert len(cut) == 72
    assert cut.startswith("aaa")
    assert cut.endswith("z-end")
    assert "…" in cut


def test_equal_names_become_distinct():
    long = ["x" * 60 + str(i) * 10 + "y" * 60 for i in range(3)]
    assert len(set(distinct(["a", "a", "b", *long]))) == 6


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "\N{EN DASH}"),
        (math.nan, "\N{EN DASH}"),
        (10**400, "\N{EN DASH}"),
        (138.32824989103435, "138.3"),
        (70797, "70,797"),
        (0.0, "0"),
        (-0.05, "\N{MINUS SIGN}0.05"),
        (1234567.8, "1,234,568"),
        (3.1e-7, "3.100e\N{MINUS SIGN}07"),
        (0.99996, "1"),
    ],
)
def test_a_number_is_rounded_for_people(value, shown):
    assert number(value) == shown


def test_a_share_is_a_percentage():
    assert share(0.28436) == "28.4 %"


def test_only_the_end_of_a_local_path_is_shown_but_all_of_a_url():
    assert place("/home/me/secret/lakes/clicks/") == "lakes/clicks"
    assert place("C:\\Users\\me\\lakes\\clicks") == "lakes/clicks"
    assert place("s3://bucket/a/b/clicks") == "s3://bucket/a/b/clicks"


def test_times_are_in_utc_and_anything_else_is_a_name():
    assert when("2026-03-02T06:05:00.000+02:00") == "2026-03-02 04:05 UTC"
    assert when("now\x07") == r"now\x07"
    assert moment("0001-01-01T00:00:00+23:00") is None


def test_a_number_that_no_figure_can_hold_is_none():
    assert [real(one) for one in (math.inf, math.nan, 10**400, 3)] == [None, None, None, 3.0]
