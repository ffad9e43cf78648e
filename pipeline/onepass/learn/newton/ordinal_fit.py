"""The proximal step for ordered classes: minimise the past plus the loss of one block.

Newton's method with a line search, as in `proximal`, over weights and thresholds together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onepass.block import Block, FloatArray
from onepass.learn.cumulative import cumulative, total
from onepass.learn.curvature import solve
from onepass.learn.newton.expansion import Expansion
from onepass.learn.newton.linesearch import Line, step_length
from onepass.learn.newton.past import Past
from onepass.learn.newton.proximal import Fit

_SETTLED, _SETTLED_FIRST = 0.5, 0.05
"""Newton decrement below which no further step is needed."""

_MAX_STEPS, _MAX_STEPS_FIRST = 6, 40

_CLOSEST = 0.1
"""Least share of a gap between thresholds that a step leaves."""


def fit_ordered(
    past: Past, u: FloatArray, x: FloatArray, block: Block, penalty: FloatArray, *, is_first: bool
) -> Fit:
    """Minimise the past, the penalty and the loss of a block together.

    Parameters
    ----------
    u
        Weights and thresholds to start from.
    x
        Standardised features without a column of ones, shape (n_rows, n_dense).
    penalty
        Coefficient of ``u^2 / 2`` of each parameter.
    is_first
        Whether little is known before this block, so that the minimum is met more closely.
    """
    n = x.shape[1]
    settled = _SETTLED_FIRST if is_first else _SETTLED
    point, found = u, _expand(x, block, u)
    for _ in range(_MAX_STEPS_FIRST if is_first else _MAX_STEPS):
        slope_of_past = past.h @ point - past.b + penalty * point
        slope = found.slope + slope_of_past
        step = solve(past.h + found.curvature + np.diag(penalty), slope)
        decrement, part = float(slope @ step), longest(point[n:], step[n:])
        if decrement < settled and part == 1.0:
            return Fit(point - step, found, point)
        step = part * step
        bend = float(step @ (past.h @ step + penalty * step))
        line = Line(float(step @ slope_of_past), bend, part * decrement)
        point = point - step_length(line, _values(x, block, point, step)) * step
        found = _expand(x, block, point)
    return Fit(point, found, point)


def longest(thresholds: FloatArray, step: FloatArray) -> float:
    """Return the largest part of a step, up to 1, after which thresholds rise.

    Parameters
    ----------
    step
        Subtracted from the thresholds.
    """
    gap, shrinks = np.diff(thresholds), np.diff(step)
    most = (1 - _CLOSEST) * gap[shrinks > 0] / shrinks[shrinks > 0]
    return float(min(1.0, most.min(initial=1.0)))


def margins(x: FloatArray, u: FloatArray, offset: FloatArray | None) -> FloatArray:
    """Return the margin of each row, shape (n_rows,)."""
    z = x @ u[: x.shape[1]]
    return z if offset is None else z + offset


def _expand(x: FloatArray, block: Block, u: FloatArray) -> Expansion:
    z = margins(x, u, block.offset)
    found = cumulative(z, block.label, block.weight, u[x.shape[1] :])
    slope, curvature = found.on_features(x)
    return Expansion(slope, curvature, 0.0, float(found.curvature.sum()), found.value)


def _values(
    x: FloatArray, block: Block, u: FloatArray, step: FloatArray
) -> Callable[[float], float]:
    """Return the loss of a block as a function of the length of a step."""
    n = x.shape[1]
    z, dz = margins(x, u, block.offset), x @ step[:n]

    def value(length: float) -> float:
        return total(z - length * dz, block.label, block.weight, u[n:] - length * step[n:])

    return value
