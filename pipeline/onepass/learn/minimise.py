"""Batch rules that minimise an objective in passes; a pass evaluates all rows at one point.

`newton` needs the fewest passes, and a matrix in memory; it takes l1 penalties and constraints.
`lbfgs` needs vectors only, and takes constraints. `gradient_descent` is the textbook's batch rule,
for comparison, and takes neither. Whatever the rule tries, its result
is the best of the points that passes have evaluated.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import Bounds, minimize

from onepass.block import FloatArray
from onepass.learn.damped_newton import newton
from onepass.learn.newton.restraint import Kinks
from onepass.learn.objective import Sums
from onepass.learn.walk import BatchObjective, Evaluate, Pass, Place, Walk

Rule: TypeAlias = Literal["newton", "lbfgs", "gradient_descent"]

KINK_WIDTH = 0.05
"""Width over which a kink is rounded, on labels of unit scale."""

_SETTLED = 1e-9
"""Relative decrease of the objective at which lbfgs stops."""

_MEMORY = 10
"""Pairs of vectors that L-BFGS keeps."""


@dataclass(frozen=True, slots=True)
class Minimum:
    """The result of a rule."""

    point: FloatArray
    sums: Sums
    """Loss and derivatives at the point, with curvature."""
    passes: list[Pass]
    loss: float
    """Penalised mean loss at the point; kinks are not rounded, unlike those of `passes`."""
    improved: bool
    """Whether `loss` is less than at the point from which the rule began."""
    settled: bool
    """Whether the rule ended because hardly any decrease was left: newton predicts none that
    matters, or the last step of lbfgs gave less than 1e-9 of the objective. False for gradient
    descent, which cannot tell."""
    trusted: bool
    """Whether the curvature at the point has predicted what the last full step of newton gave.

    It does not where classes are separable: there the weights go on and on, and rows have hardly
    any curvature left where they are fitted almost exactly."""


def minimise(
    rule: Rule,
    objective: BatchObjective,
    point: FloatArray,
    evaluate: Evaluate,
    n_passes: int,
    learning_rate: float | None = None,
) -> Minimum:
    """Minimise an objective in at most `n_passes` passes.

    A start that is worse than the origin of the objective is left for the origin.

    Parameters
    ----------
    point
        Weights to start from, flat.
    learning_rate
        Rate of gradient descent on the mean loss. The default is the inverse of a bound of the
        largest curvature. Gradient descent that overshoots at its end takes one pass more, which
        goes back to the best point.

    Raises
    ------
    ValueError
        If there are fewer than two passes.
    Diverged
        If the objective is no number, neither at the start nor at the origin.
    """
    if n_passes < 2:
        raise ValueError(f"expected at least 2 passes, found {n_passes}")
    walk, settled, trusted = Walk(objective, evaluate), False, False
    start = walk.start(point)
    match rule:
        case "newton":
            settled, trusted = newton(walk, start, n_passes)
        case "lbfgs":
            settled = _lbfgs(walk, start, n_passes)
        case "gradient_descent":
            _gradient_descent(walk, start, n_passes, learning_rate)
    best = walk.result()
    return Minimum(
        best.point,
        best.sums,
        walk.passes,
        best.judged / best.sums.weight,
        improved=best.judged < walk.judged_at_start,
        settled=settled,
        trusted=trusted,
    )


def _lbfgs(walk: Walk, start: Place, n_passes: int) -> bool:
    """Walk to the minimum; return whether the passes have sufficed for it."""
    assert start.sums.curvature is not None
    assert start.sums.slot_curvature is not None
    # Scale the weights so that each has curvature 1. Otherwise a level with few rows beside one
    # with very many takes hundreds of passes.
    bend = np.append(np.diag(start.sums.curvature), start.sums.slot_curvature)
    bend = bend + walk.penalty(start.sums)
    unit = 1 / np.sqrt(np.maximum(bend, 1e-12 * bend.max(initial=1.0)))
    within = _Within(walk.restraint(start.sums).kinks, unit)
    first: Place | None = start

    def mean(place: FloatArray) -> tuple[float, FloatArray]:
        nonlocal first
        known, first = first, None
        if known is None and len(walk.passes) >= n_passes - 1:
            raise _Exhausted
        here = known or walk(within.weights(place), curvature=False)
        return here.value / here.sums.weight, within.slope(here.slope) / here.sums.weight

    options = {"maxcor": _MEMORY, "maxiter": n_passes, "ftol": _SETTLED, "gtol": 0.0}
    with suppress(_Exhausted):
        found = minimize(
            mean,
            within.place(start.point),
            jac=True,
            method="L-BFGS-B",
            bounds=within.bounds(),
            options=options,
        )
        return bool(found.success)
    return False


@dataclass(frozen=True, slots=True)
class _Within:
    """Coordinates in which constraints are bounds, and each weight has a curvature of about 1."""

    kinks: Kinks | None
    """Constraints of the dense weights."""
    unit: FloatArray
    """Weight that is 1 in the coordinates, one for each weight, flat."""

    def weights(self, place: FloatArray) -> FloatArray:
        """Return the weights at a place. They meet constraints exactly, whatever rounding does."""
        found = place * self.unit
        if self.kinks is not None:
            n = len(self.kinks.l1)
            found[:n] = self.kinks.from_bounded(self.kinks.box.nearest(found[:n]))
        return found

    def place(self, weights: FloatArray) -> FloatArray:
        """Return the place of weights."""
        found = weights.copy()
        if self.kinks is not None:
            n = len(self.kinks.l1)
            found[:n] = self.kinks.box.nearest(self.kinks.bounded(found[:n]))
        return found / self.unit

    def slope(self, of_weights: FloatArray) -> FloatArray:
        """Return a gradient with respect to the place."""
        found = of_weights.copy()
        if self.kinks is not None and self.kinks.turn is not None:
            n = len(self.kinks.l1)
            found[:n] = self.kinks.turn.T @ found[:n]
        return found * self.unit

    def bounds(self) -> Bounds | None:
        """Return the bounds of a place; None if there are none."""
        if self.kinks is None:
            return None
        low, high = np.full(len(self.unit), -np.inf), np.full(len(self.unit), np.inf)
        n = len(self.kinks.l1)
        low[:n], high[:n] = self.kinks.box.low, self.kinks.box.high
        return Bounds(low / self.unit, high / self.unit)


class _Exhausted(Exception):
    """Raised when one pass is left, the one for the curvature of the result."""


def _gradient_descent(walk: Walk, here: Place, n_passes: int, learning_rate: float | None) -> None:
    while len(walk.passes) < n_passes:
        sums = here.sums
        bound = (sums.norm + float(walk.penalty(sums).max(initial=0.0))) / sums.weight
        rate = learning_rate or 1 / max(bound, 1e-300)
        point = here.point - rate * here.slope / sums.weight
        here = walk(point, curvature=len(walk.passes) == n_passes - 1)
        if not math.isfinite(here.value):
            break
