"""Line search: the longest of the lengths tried that lowers the loss enough."""

from __future__ import annotations

from operator import neg

import pytest

from onepass.learn.newton.linesearch import Line, step_length


@pytest.mark.parametrize(("best", "expected"), [(1.0, 1.0), (0.3, 0.4), (0.1, 0.16), (0.05, 0.064)])
def test_parabola_is_gone_down_to_about_its_minimum(best, expected):
    """Up to twice as far as the minimum the value is below that of the start."""
    assert step_length(Line(0.0, 0.0, 1.0), lambda at: (at - best) ** 2) == pytest.approx(expected)


def test_past_holds_back_a_step_that_the_block_alone_would_take_whole():
    assert step_length(Line(0.0, 0.0, 1.0), neg) == 1.0
    assert step_length(Line(0.0, 10.0, 1.0), neg) == pytest.approx(0.16)


def test_step_that_never_helps_becomes_tiny():
    assert step_length(Line(0.0, 0.0, 1.0), lambda at: 1.0 + at) < 2e-6
