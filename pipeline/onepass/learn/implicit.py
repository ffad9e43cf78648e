"""Implicit steps: the gradient is taken where the step ends, so that no step can overshoot."""

from __future__ import annotations

import math

from onepass.jit import compiled
from onepass.learn.losses import (
    HINGE,
    HUBER,
    LOGISTIC,
    POISSON,
    QUANTILE,
    SQUARED,
    gradient,
)

_CLOSE = 2e-6
"""Relative error of an implicit step that is exact enough."""


@compiled
def _smooth_curvatures(loss: int, g: float, y: float) -> tuple[float, float]:
    """Second and third derivative by the margin where the first is g; needs no exponential."""
    if loss == LOGISTIC:
        p = g + y
        c = p * (1.0 - p)
        return c, c * (1.0 - 2.0 * p)
    if loss == POISSON:
        return g + y, g + y
    return 1.0 - g, g - 1.0


@compiled
def implicit_gradient_from(loss: int, a: float, z: float, y: float, q: float, g: float) -> float:
    """The s that solves ``s = gradient(z - q * s)``: the gradient at the end of a step.

    q >= 0 is how far the margin moves per unit of s, and g the gradient at z. In closed form where
    the gradient is piecewise linear; otherwise a step of third order from 0 and, where that is too
    long to be exact enough, Newton's method within the bracket from 0 to the gradient at z
    (N. Karampatziakis, J. Langford, UAI 2011, sec. 5; B. Kulis, P. Bartlett, ICML 2010, sec. 3).
    """
    if q <= 0.0 or g == 0.0:
        return g
    if loss == SQUARED:
        return g / (1.0 + q)
    if loss == HUBER:
        return max(-a, min(a, (z - y) / (1.0 + q)))
    if loss == QUANTILE:
        return max(-a, min(1.0 - a, (z - y) / q))
    if loss == HINGE:
        side = 2.0 * y - 1.0
        return -side * min(1.0, (1.0 - side * z) / q)
    c, bend = _smooth_curvatures(loss, g, y)
    s = g / (1.0 + q * c)
    move = q * s
    if abs(move) < 1.0 and move * move * q * c <= _CLOSE * (1.0 + q * c):
        return s + 0.5 * move * move * bend / (1.0 + q * c)
    end = g
    if loss != LOGISTIC and y > 0.0:
        # No step goes beyond the best margin of its own row.
        best = (z - math.log(y)) / q
        end = max(end, best) if g < 0.0 else min(end, best)
    low, high = min(0.0, end), max(0.0, end)
    s = min(max(s, low), high)
    for _ in range(50):
        there = gradient(loss, a, 0.0, z - q * s, y)
        excess = s - there
        if excess > 0.0:
            high = s
        else:
            low = s
        c, _ = _smooth_curvatures(loss, there, y)
        step = excess / (1.0 + q * c)
        s -= step
        if not low < s < high:
            s = 0.5 * (low + high)
        elif abs(q * step) < 1.0 and q * q * c * step * step <= _CLOSE * abs(s) * (1.0 + q * c):
            # The error falls with the square of a short step.
            break
    return s


@compiled
def implicit_gradient(loss: int, a: float, z: float, y: float, q: float) -> float:
    """See `implicit_gradient_from`; the gradient at z is worked out first."""
    return implicit_gradient_from(loss, a, z, y, q, gradient(loss, a, 0.0, z, y))
