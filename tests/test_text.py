"""Text from elsewhere is shown as it is, but for what would steer the terminal."""

from __future__ import annotations

import os

import pytest

from onepass.errors import BadPartition
from onepass.text import printable


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
