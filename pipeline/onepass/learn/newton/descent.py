"""Minimise a quadratic with an l1 penalty between bounds: coordinate descent, then an exact end.

Coordinate descent (J. Friedman, T. Hastie, R. Tibshirani, Journal of Statistical Software 33, 2010,
sec. 2.4, covariance updates) finds which weights are 0 or at a bound. The rest solves a linear
system, so the result is exact where features are nearly collinear as well. There descent alone
takes thousands of sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.jit import compiled
from onepass.learn.curvature import solve

_FLAT = 1e-12
"""Curvature, beside the largest, below which a weight stays where it is: nothing tells where."""

_SWEEPS = 8
"""Sweeps over the weights that may move between two attempts to end exactly."""

_ROUNDS = 400
"""Most attempts. Each lowers the objective, and nearly all problems end within ten."""

_NEAR = 1e-12
"""Distance from a bound, beside the largest weight, that counts as rounding."""

_EXACT = 1e-9
"""Error of a slope that counts as rounding, relative to the largest terms of the slopes."""


@dataclass(frozen=True, slots=True)
class Box:
    """The l1 penalty and the bounds of each weight; each array has shape (n_weights,)."""

    l1: FloatArray
    """Coefficient of ``|w|``."""
    low: FloatArray
    """Least value; minus infinity for none."""
    high: FloatArray

    def value(self, w: FloatArray) -> float:
        """Return the l1 penalty of weights within the bounds."""
        return float(self.l1 @ np.abs(w))

    def nearest(self, w: FloatArray) -> FloatArray:
        """Return the nearest weights within the bounds."""
        return np.clip(w, self.low, self.high)

    def balance(self, slope: FloatArray, w: FloatArray) -> FloatArray:
        """Return the part of a slope that the penalty and the bounds balance at some weights.

        Parameters
        ----------
        slope
            Gradient, at these weights, of all other terms of an objective.
        """
        # A step to a bound or to 0 ends there up to rounding.
        near = _NEAR * float(np.abs(w).max(initial=0.0))
        least = np.where(w < self.high - near, np.where(w >= -near, -self.l1, self.l1), -np.inf)
        most = np.where(w > self.low + near, np.where(w > near, -self.l1, self.l1), np.inf)
        return np.clip(slope, least, most)


def minimise(a: FloatArray, c: FloatArray, box: Box, start: FloatArray) -> FloatArray:
    """Return the w that minimises ``w'aw / 2 - c'w + l1 |w|`` within the bounds.

    Parameters
    ----------
    a
        Symmetric positive semi-definite matrix.
    start
        Weights to start from. The nearer they are, the faster is the descent.
    """
    # In units of their curvature, weights of nearly any scale meet the same tolerance.
    diagonal = np.diag(a)
    moves = diagonal > _FLAT * diagonal.max(initial=0.0)
    unit = np.where(moves, 1 / np.sqrt(np.where(moves, diagonal, 1.0)), 1.0)
    scaled = a * np.outer(unit, unit)
    own = Box(box.l1 * unit, box.low / unit, box.high / unit)
    x = own.nearest(start / unit)
    found = _descended(scaled, c * unit, own, x, moves)
    # A bound is met exactly, although a unit divides and multiplies it.
    return box.nearest(found * unit)


def _descended(
    a: FloatArray, c: FloatArray, box: Box, x: FloatArray, moves: NDArray[np.bool_]
) -> FloatArray:
    tolerance = _EXACT * max(float(np.abs(c).max(initial=0.0)), 1e-300)
    for number in range(_ROUNDS):
        slope = a @ x - c
        sweep(a, x, slope, box.l1, box.low, box.high, moves)
        for _ in range(_SWEEPS * (number + 1)):
            free = moves & _is_free(x, box)
            moved = sweep(a, x, slope, box.l1, box.low, box.high, free)
            if moved <= 1e-3 * tolerance:
                break
        x, is_end = _ended(a, c, box, x, moves)
        if is_end and worst_fault(a @ x - c, box, x, moves) <= tolerance:
            break
    return x


def _is_free(x: FloatArray, box: Box) -> NDArray[np.bool_]:
    """Return which weights are neither at a bound nor at a kink."""
    return np.asarray((x > box.low) & (x < box.high) & ((x != 0) | (box.l1 == 0)))


def _ended(
    a: FloatArray, c: FloatArray, box: Box, x: FloatArray, moves: NDArray[np.bool_]
) -> tuple[FloatArray, bool]:
    """Move to the minimum over the free weights with their signs, or to the first that would end.

    Along the way the objective is one quadratic, so it falls.

    Returns
    -------
    The weights, and whether the minimum was reached.
    """
    free = np.flatnonzero(moves & _is_free(x, box))
    if not len(free):
        return x, True
    signed = np.sign(x[free]) * box.l1[free]
    slope = (a[free] @ x) - c[free] + signed
    own = a[np.ix_(free, free)]
    step = -solve(own, slope)
    kinked, at = box.l1[free] > 0, x[free]
    low = np.where(kinked & (at > 0), np.maximum(box.low[free], 0.0), box.low[free])
    high = np.where(kinked & (at < 0), np.minimum(box.high[free], 0.0), box.high[free])
    full = at + step
    x, end = x.copy(), np.clip(full, low, high)
    if np.array_equal(end, full):
        x[free] = end
        return x, True
    # Where features are nearly collinear many weights end at once. All of them stop there if that
    # lowers the objective; else the step ends with the first.
    clipped = end - at
    if slope @ clipped + 0.5 * clipped @ own @ clipped > 0:
        out = np.flatnonzero(end != full)
        lengths = clipped[out] / step[out]
        first = out[int(np.argmin(lengths))]
        end = np.clip(at + lengths.min() * step, low, high)
        end[first] = high[first] if step[first] > 0 else low[first]
    x[free] = end
    return x, False


def worst_fault(
    slope: FloatArray, box: Box, x: FloatArray, moves: NDArray[np.bool_] | None = None
) -> float:
    """Return the largest violation of the conditions of a minimum (Karush, Kuhn and Tucker).

    Parameters
    ----------
    slope
        Gradient of the quadratic at `x`.
    moves
        Weights that count; all by default.
    """
    # Slopes of the objective to the right and to the left of each weight.
    right = slope + np.where(x >= 0, box.l1, -box.l1)
    left = slope + np.where(x > 0, box.l1, -box.l1)
    fault = np.maximum(
        np.where(x < box.high, np.maximum(-right, 0.0), 0.0),
        np.where(x > box.low, np.maximum(left, 0.0), 0.0),
    )
    return float(fault[moves].max(initial=0.0) if moves is not None else fault.max(initial=0.0))


@compiled
def sweep(
    a: FloatArray,
    x: FloatArray,
    slope: FloatArray,
    l1: FloatArray,
    low: FloatArray,
    high: FloatArray,
    moves: NDArray[np.bool_],
) -> float:
    """Minimise over one weight after another, in place; return the largest move.

    Parameters
    ----------
    a
        Matrix with a unit diagonal, rounding aside.
    slope
        ``a x - c``, kept up to date in place.
    moves
        Weights to visit.
    """
    largest = 0.0
    for j in range(len(x)):
        if not moves[j]:
            continue
        free = x[j] - slope[j] / a[j, j]
        threshold = l1[j] / a[j, j]
        if free > threshold:
            target = free - threshold
        elif free < -threshold:
            target = free + threshold
        else:
            target = 0.0
        target = min(max(target, low[j]), high[j])
        move = target - x[j]
        if move != 0.0:
            x[j] = target
            row = a[j]
            for k in range(len(x)):
                slope[k] += move * row[k]
            largest = max(largest, abs(move))
    return largest
