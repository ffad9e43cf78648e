"""Line search: the longest of the lengths tried that lowers the loss enough."""

from __future__ import annotations

from operator import neg

import pytest

from onepass.learn.newton.linesearch import Line, step_length


@pytest.mark.parametrize(("best", "expected"), [(1.0, 1.0), (0.3, 0.4), (0.1, 0.16), (0.05, 0.064)])
def test_step_down_a_parabola_ends_near_its_minimum(best, expected):
    """A step of up to twice the distance to the minimum lowers the value."""
    assert step_length(Line(0.0, 0.0, 1.0), lambda at: (at - best) ** 2) == pytest.approx(expected)


def test_model_of_the_past_shortens_a_step_that_suits_the_block_alone():
    assert step_length(Line(0.0, 0.0, 1.0), neg) == 1.0
    assert step_length(Line(0.0, 10.0, 1.0), neg) == pytest.approx(0.16)


def test_step_that_never_lowers_the_loss_becomes_tiny():
    assert step_length(Line(0.0, 0.0, 1.0), lambda at: 1.0 + at) < 2e-6
