"""Batch rules that minimise an objective in passes; a pass evaluates all rows at one point.

`newton` needs the fewest passes, and a matrix in memory. `lbfgs` needs vectors only.
`gradient_descent` is the textbook's batch rule, for comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import minimize

from onepass.block import FloatArray
from onepass.learn.curvature import solve
from onepass.learn.objective import Objective, Sums

Rule: TypeAlias = Literal["newton", "lbfgs", "gradient_descent"]

Evaluate: TypeAlias = Callable[[FloatArray, bool], Sums]
"""One pass over all rows; arguments: the point, and whether to compute the curvature."""

KINK_WIDTH = 0.05
"""Width over which a kink is rounded, on labels of unit scale."""

_SETTLED = 1e-9
"""Relative decrease of the objective at which a rule stops."""

_ARMIJO = 1e-4
"""Share of the linearly predicted decrease that a step of newton must reach."""

_MEMORY = 10
"""Pairs of vectors that L-BFGS keeps."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Results of one pass over all rows."""

    loss: float
    """Penalised loss, mean per row weight."""
    slope: float
    """Length of the gradient of `loss`."""


@dataclass(frozen=True, slots=True)
class Minimum:
    """The result of a rule."""

    point: FloatArray
    sums: Sums
    """Loss and derivatives at the point, with curvature."""
    passes: list[Pass]


def minimise(
    rule: Rule,
    objective: Objective,
    point: FloatArray,
    evaluate: Evaluate,
    n_passes: int,
    learning_rate: float | None = None,
) -> Minimum:
    """Minimise an objective in at most `n_passes` passes.

    Parameters
    ----------
    point
        Weights to start from, flat.
    learning_rate
        Rate of gradient descent on the mean loss. The default is the inverse of a bound of the
        largest curvature; every step then decreases the objective.

    Raises
    ------
    ValueError
        If there are fewer than two passes.
    """
    if n_passes < 2:
        raise ValueError(f"expected at least 2 passes, found {n_passes}")
    walk = _Walk(objective, evaluate)
    match rule:
        case "newton":
            found = _newton(walk, point, n_passes)
        case "lbfgs":
            found = _lbfgs(walk, point, n_passes)
        case "gradient_descent":
            found = _gradient_descent(walk, point, n_passes, learning_rate)
    return Minimum(*found, walk.passes)


class _Walk:
    """Evaluates the penalised objective and records each pass."""

    def __init__(self, objective: Objective, evaluate: Evaluate) -> None:
        self._objective, self._evaluate = objective, evaluate
        self.passes: list[Pass] = []

    def __call__(self, point: FloatArray, *, curvature: bool) -> tuple[float, FloatArray, Sums]:
        sums = self._evaluate(point, curvature)
        penalty = self.penalty(sums)
        value = sums.value + 0.5 * float(penalty @ np.square(point))
        slope = sums.slope + penalty * point
        self.passes.append(Pass(value / sums.weight, float(np.linalg.norm(slope)) / sums.weight))
        return value, slope, sums

    def penalty(self, sums: Sums) -> FloatArray:
        return self._objective.penalty(sums.weight)


def _newton(walk: _Walk, point: FloatArray, n_passes: int) -> tuple[FloatArray, Sums]:
    value, slope, sums = walk(point, curvature=True)
    length, step, decrement = 1.0, *_newton_step(walk, slope, sums)
    while len(walk.passes) < n_passes and decrement > _SETTLED * abs(value):
        trial = point - length * step
        found = walk(trial, curvature=True)
        if found[0] <= value - _ARMIJO * length * decrement + 1e-12 * abs(value):
            point, (value, slope, sums) = trial, found
            length, step, decrement = 1.0, *_newton_step(walk, slope, sums)
        else:
            length *= 0.25
    return point, sums


def _newton_step(walk: _Walk, slope: FloatArray, sums: Sums) -> tuple[FloatArray, float]:
    assert sums.curvature is not None
    step = solve(sums.curvature + np.diag(walk.penalty(sums)), slope)
    return step, float(slope @ step)


def _lbfgs(walk: _Walk, point: FloatArray, n_passes: int) -> tuple[FloatArray, Sums]:
    value, slope, sums = walk(point, curvature=True)
    assert sums.curvature is not None
    assert sums.slot_curvature is not None
    # Scale the weights so that each has curvature 1. Otherwise a level with few rows beside one
    # with very many takes hundreds of passes.
    bend = np.append(np.diag(sums.curvature), sums.slot_curvature) + walk.penalty(sums)
    unit = 1 / np.sqrt(np.maximum(bend, 1e-12 * bend.max(initial=1.0)))
    best = (value, point)
    first: tuple[float, FloatArray] | None = (value, slope)

    def mean(place: FloatArray) -> tuple[float, FloatArray]:
        nonlocal best, first
        known, first = first, None
        if known is None and len(walk.passes) >= n_passes - 1:
            raise _Exhausted
        value, slope = known or walk(place * unit, curvature=False)[:2]
        best = min(best, (value, place * unit), key=lambda one: one[0])
        return value / sums.weight, slope * unit / sums.weight

    options = {"maxcor": _MEMORY, "maxiter": n_passes, "ftol": _SETTLED, "gtol": 0.0}
    with suppress(_Exhausted):
        minimize(mean, point / unit, jac=True, method="L-BFGS-B", options=options)
    return best[1], walk(best[1], curvature=True)[2]


class _Exhausted(Exception):
    """Raised when one pass is left, the one for the curvature of the result."""


def _gradient_descent(
    walk: _Walk, point: FloatArray, n_passes: int, learning_rate: float | None
) -> tuple[FloatArray, Sums]:
    _, slope, sums = walk(point, curvature=False)
    for number in range(2, n_passes + 1):
        bound = (sums.norm + float(walk.penalty(sums).max(initial=0.0))) / sums.weight
        rate = learning_rate or 1 / max(bound, 1e-300)
        point = point - rate * slope / sums.weight
        _, slope, sums = walk(point, curvature=number == n_passes)
    return point, sums
