"""Implicit steps: the gradient at the end of the step, so that no step overshoots."""

from __future__ import annotations

import math

from onepass.jit import compiled
from onepass.learn.amounts import inverse_gaussian_curvature
from onepass.learn.pointwise import (
    HINGE,
    HUBER,
    INVERSE_GAUSSIAN,
    LOGISTIC,
    POISSON,
    PROBIT,
    QUANTILE,
    SQUARED,
    TWEEDIE,
    curvature,
    gradient,
)

_CLOSE = 2e-6
"""Relative error that an implicit step may have."""


@compiled
def _smooth_curvatures(loss: int, g: float, y: float) -> tuple[float, float]:
    """Return the second and third derivative where the first is g, without an exponential.

    For logistic, poisson and gamma these derivatives are functions of the first one.
    """
    if loss == LOGISTIC:
        p = g + y
        c = p * (1.0 - p)
        return c, c * (1.0 - 2.0 * p)
    if loss == POISSON:
        return g + y, g + y
    return 1.0 - g, g - 1.0


@compiled
def _bracketed(loss: int, a: float, z: float, y: float, q: float, g: float) -> float:
    """Solve for the gradient at the end of a step, where no closed form gives the curvature there.

    The solution lies between 0 and the gradient at z where the loss is convex. Inverse gaussian is
    not, and its gradient may grow on the way. No step goes beyond the margin log(y), the best for
    its own row, so the bracket ends there. The solution found is a minimum of the step's objective.
    """
    end = g
    if loss < PROBIT and y > 0.0:
        best = (z - math.log(y)) / q
        if loss != INVERSE_GAUSSIAN:
            best = max(end, best) if g < 0.0 else min(end, best)
        end = best
    low, high = min(0.0, end), max(0.0, end)
    s = min(max(g / (1.0 + q * curvature(loss, a, 0.0, z, y)), low), high)
    for _ in range(100):
        excess = s - gradient(loss, a, 0.0, z - q * s, y)
        if excess > 0.0:
            high = s
        else:
            low = s
        if loss == INVERSE_GAUSSIAN:
            bend = 1.0 + q * inverse_gaussian_curvature(z - q * s, y)
        else:
            bend = 1.0 + q * curvature(loss, a, 0.0, z - q * s, y)
        step = excess / bend
        s -= step
        if bend > 0.5 and abs(q * step) < 1.0 and abs(step) <= 1e-9 * abs(s):
            break
        if bend < 0.5 or not low < s < high:
            s = 0.5 * (low + high)
    return s


@compiled
def implicit_gradient_from(loss: int, a: float, z: float, y: float, q: float, g: float) -> float:
    """Return the s that solves ``s = gradient(z - q * s)``: the gradient at the end of a step.

    Where the gradient is piecewise linear the solution has a closed form. Otherwise it is a step of
    third order from 0. If that step is too long to be accurate, Newton's method follows, within the
    bracket from 0 to the gradient at z (N. Karampatziakis, J. Langford, UAI 2011, sec. 5; B. Kulis,
    P. Bartlett, ICML 2010, sec. 3).

    Parameters
    ----------
    q
        Distance by which the margin moves per unit of s, at least 0.
    g
        Gradient at z.
    """
    if q <= 0.0 or g == 0.0:
        return g
    if loss >= TWEEDIE:
        return _bracketed(loss, a, z, y, q, g)
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
        # No step goes beyond the margin log(y), the best for its own row.
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
            # Newton converges quadratically: the error left is of the order of the step squared.
            break
    return s


@compiled
def implicit_gradient(loss: int, a: float, z: float, y: float, q: float) -> float:
    """Compute the gradient at z; return the result of `implicit_gradient_from`."""
    return implicit_gradient_from(loss, a, z, y, q, gradient(loss, a, 0.0, z, y))
