"""Text from elsewhere is shown as it is, but for what would steer the terminal."""

from __future__ import annotations

import os

import pytest

from onepass.errors import BadPartition
from onepass.text import listed, percent, printable, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m\x7f\0", r"\x9b31m\x7f\x00"),
        ("two\r\nlines\t", r"two\r\nlines\t"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"),
        (r"C:\new \x1b", r"C:\new \x1b"),
        ("Zürich 東京 🚲 é", "Zürich 東京 🚲 é"),
    ],
)
def test_control_characters_are_escaped_and_all_else_stays(text, shown):
    assert printable(text) == shown


def test_newlines_of_a_message_stay():
    assert printable("what\x1b\nwhere\n", lines=True) == "what\\x1b\nwhere\n"


def test_name_with_a_newline_does_not_add_a_line_to_its_error():
    error = BadPartition("truncated", path="a\nonepass: all is well.parquet", advice="Repair it.")
    assert str(error).splitlines() == [
        r"a\nonepass: all is well.parquet: truncated",
        "Repair it.",
    ]
    assert error.path == "a\nonepass: all is well.parquet"


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0.0%"),
        (1e-9, "<0.1%"),
        (0.00049, "<0.1%"),
        (0.0005, "0.1%"),
        (0.2503, "25.0%"),
        (0.99999, ">99.9%"),
        (1.0, "100.0%"),
    ],
)
def test_share_is_shown_as_nothing_or_all_only_if_it_is(share, shown):
    assert percent(share) == shown


def test_name_that_could_not_be_seen_is_in_quotes():
    assert [visible(name) for name in ("", " ", "a", "a b", "a ")] == [
        *("''", "' '", "a", "a b", "'a '")
    ]


def test_long_list_ends_with_its_number():
    assert listed(["a", "b", "c"], 3) == "a, b, c"
    assert listed(["a", "b", "c"], 2) == "a, b, ... (3 in all)"
    assert listed([], 2) == ""
