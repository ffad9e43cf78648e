"""Find the length of a Newton step where a full step may overshoot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """The quadratic model of the past along a step, which is subtracted from the weights."""

    slope: float
    bend: float
    decrement: float
    """Twice the decrease that the quadratic model predicts for a full step."""


def step_length(
    line: Line, value: Callable[[float], float], kinks: Callable[[float], float] = lambda _: 0.0
) -> float:
    """Return the first of 1, 0.4, 0.16, ... at which the objective has decreased enough.

    Parameters
    ----------
    value
        Computes the loss of the block after a part of the step.
    kinks
        Computes the increase of the penalties that are not quadratic; 0 if there are none.

    Notes
    -----
    Armijo's condition (J. Nocedal, S. Wright, "Numerical Optimization", 2006, eq. 3.4) on the
    block's loss plus the model of the past, with a tolerance for rounding in sums over a block.
    """
    start, length = value(0.0), 1.0
    while length > 1e-6:
        change = value(length) - start
        change += -length * line.slope + 0.5 * length**2 * line.bend + kinks(length)
        if change <= -1e-4 * length * line.decrement + 1e-9 * abs(start):
            break
        length *= 0.4
    return length
