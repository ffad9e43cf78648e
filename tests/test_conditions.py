"""Conditions on key=value folders: what they mean, and where a wrong one is wrong."""

from __future__ import annotations

from datetime import date

import pytest

from onepass.conditions import Condition, Today, holds, parse_conditions

TODAY = date(2026, 11, 29)


def test_each_kind_of_value_is_read():
    text = "date >= today - 7d and year=2026, share != 0.5 and region = 'North Sea',\"a b\" < 7"
    assert parse_conditions(text) == [
        Condition("date", ">=", Today(-7)),
        Condition("year", "=", 2026),
        Condition("share", "!=", 0.5),
        Condition("region", "=", "North Sea"),
        Condition("a b", "<", 7),
    ]
    assert parse_conditions(" date>2026-11-28 ") == [Condition("date", ">", date(2026, 11, 28))]
    assert parse_conditions("d = today+1d") == [Condition("d", "=", Today(1))]
    assert parse_conditions("d = today") == [Condition("d", "=", Today())]
    assert parse_conditions("android = 1 and order <= -2") == [
        Condition("android", "=", 1),
        Condition("order", "<=", -2),
    ]


@pytest.mark.parametrize(
    ("text", "expected", "place", "found"),
    [
        ("", "the key of a folder", 1, "the end"),
        ("date", "one of = != < <= > >=", 5, "the end"),
        ("date ~ 3", "one of = != < <= > >=", 6, "'~ 3'"),
        ("date > ", "a number, a date, 'text', today", 8, "the end"),
        ("date > monday", "a number, a date, 'text', today", 8, "'monday'"),
        ("date > today - 7", "'and'", 14, "'- 7'"),
        ("date > today - 7h", "'and'", 14, "'- 7h'"),
        ("date > 2026-02-30", "a date", 8, "'2026-02-30'"),
        ("date > 1 or x = 2", "'and'", 10, "'or x = 2'"),
        ("date > 1 and", "the key of a folder", 13, "the end"),
        ("date > 1,, x = 1", "the key of a folder", 10, "', x = 1'"),
        ("7 > date", "the key of a folder", 1, "'7 > date'"),
        ("date > 'open", "a number, a date, 'text', today", 8, '"\'open"'),
        ("a = 1e5", "a number, a date, 'text', today", 5, "'1e5'"),
    ],
)
def test_a_fault_is_told_with_its_place(text, expected, place, found):
    with pytest.raises(ValueError, match=f"at character {place} of") as error:
        parse_conditions(text)
    assert str(error.value).startswith(f"expected {expected}")
    assert str(error.value).endswith(f", found {found}")


@pytest.mark.parametrize(
    ("text", "folders", "expected"),
    [
        ("date >= today - 7d", {"date": "2026-11-22"}, True),
        ("date >= today - 7d", {"date": "2026-11-21"}, False),
        ("date >= today - 7d", {"date": "20261122"}, True),
        ("date >= today - 7d", {"date": "2026-11-22T23:00:00"}, True),
        ("date < today", {"date": "2026-11-29"}, False),
        ("date = 2026-11-28", {"date": "2026-11-28"}, True),
        ("date != 2026-11-28", {"date": "2026-11-28"}, False),
        ("year = 2026 and month > 9", {"year": "2026", "month": "11"}, True),
        ("year = 2026, month > 9", {"year": "2026", "month": "09"}, False),
        ("x = 0.50", {"x": "0.5"}, True),
        ("id > 9007199254740992", {"id": "9007199254740993"}, True),
        ("region = 'north'", {"region": "north"}, True),
        ("region < 'north'", {"region": "east"}, True),
        ("date != 2026-11-28", {"date": None}, False),
        ("date != 2026-11-28", {}, False),
    ],
)
def test_folders_meet_conditions_as_numbers_dates_and_text(text, folders, expected):
    assert holds(parse_conditions(text), folders, TODAY) is expected


@pytest.mark.parametrize(
    ("text", "found", "kind"),
    [
        ("date > today", "yesterday", "date"),
        ("date > today", "2026-13-01", "date"),
        ("date > today", "2026", "date"),
        ("date > today", "202611281", "date"),
        ("n > 1", "many", "number"),
        ("n > 1", "nan", "number"),
    ],
)
def test_a_folder_of_another_kind_is_refused(text, found, kind):
    (condition,) = parse_conditions(text)
    with pytest.raises(ValueError, match=f"={found} is no {kind}"):
        condition.holds(found, TODAY)
