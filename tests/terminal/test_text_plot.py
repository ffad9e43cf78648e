"""Points as text: each where its numbers say."""

from __future__ import annotations

from onepass.terminal.text_plot import text_plot


def test_points_lie_where_their_numbers_say():
    lines = text_plot([0, 5, 10], {"-": [4, 2, 4], "*": [4, None, 0]}, width=11, height=5)
    assert lines == [
        "4 |*         -",
        "  |",
        "  |     -",
        "  |",
        "0 |          *",
        "  +-----------",
        "   0        10",
    ]


def test_a_giant_is_drawn_at_the_edge():
    values = [1.0 + i / 100 for i in range(50)]
    lines = text_plot(range(1, 52), {"*": [1e6, *values]}, width=60, height=10)
    assert lines[0].startswith("> ")
    assert sum("*" in line for line in lines) > 5


def test_equal_values_are_one_line_and_no_value_is_no_plot():
    assert sum("*" in line for line in text_plot([1, 2], {"*": [3.0, 3.0]})) == 1
    assert text_plot([1, 2], {"*": [None, None]}) == []
