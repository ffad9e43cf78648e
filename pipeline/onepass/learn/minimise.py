"""Batch rules that minimise an objective in passes; a pass evaluates all rows at one point.

`newton` needs the fewest passes, and a matrix in memory. `lbfgs` needs vectors only.
`gradient_descent` is the textbook's batch rule, for comparison. Whatever the rule tries, its result
is the best of the points that passes have evaluated.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import minimize

from onepass.block import FloatArray
from onepass.errors import Diverged
from onepass.learn.curvature import ALIASED, Curvature, solve
from onepass.learn.objective import Objective, Sums

Rule: TypeAlias = Literal["newton", "lbfgs", "gradient_descent"]

Evaluate: TypeAlias = Callable[[FloatArray, bool], Sums]
"""One pass over all rows; arguments: the point, and whether to compute the curvature."""

KINK_WIDTH = 0.05
"""Width over which a kink is rounded, on labels of unit scale."""

_SETTLED = 1e-9
"""Relative decrease of the objective at which lbfgs stops."""

_SETTLED_NEWTON = 1e-8
"""Decrease at which newton stops, in units of the dispersion.

All weights together are then within 1e-4 of their standard errors of the optimum. A bound relative
to the objective would leave them far from it where rows are many.
"""

_ROUNDING = 1e-13
"""Relative error of the sum over all rows."""

_LEAST_GAIN = 1e-4
"""Share of the predicted decrease that a step of newton must reach."""

_MEMORY = 10
"""Pairs of vectors that L-BFGS keeps."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Results of one pass over all rows."""

    loss: float
    """Penalised loss, mean per row weight; the largest float where it overflows."""
    slope: float
    """Length of the gradient of `loss`."""


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
    """Whether newton predicts no further decrease that matters."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A point with what a pass found there; the objective and its slope have the penalty."""

    point: FloatArray
    value: float
    """Objective that a rule minimises; infinite where it is no number."""
    judged: float
    """Objective by which points are compared in the end: kinks are not rounded."""
    slope: FloatArray
    sums: Sums


def minimise(
    rule: Rule,
    objective: Objective,
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
    walk, settled = _Walk(objective, evaluate), False
    start = walk.start(point)
    match rule:
        case "newton":
            settled = _newton(walk, start, n_passes)
        case "lbfgs":
            _lbfgs(walk, start, n_passes)
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
    )


class _Walk:
    """Evaluates the penalised objective, records each pass, and remembers the best point."""

    def __init__(self, objective: Objective, evaluate: Evaluate) -> None:
        self._objective, self._evaluate = objective, evaluate
        self.passes: list[Pass] = []
        self.judged_at_start = math.inf
        self._best: _Place | None = None

    def start(self, point: FloatArray) -> _Place:
        """Evaluate the start, and the origin if that is better."""
        place = self(point, curvature=True)
        self.judged_at_start = place.judged
        if not place.judged <= place.sums.at_origin:
            # Weights of a learner that went astray, or labels that have changed since.
            place = self(self._objective.origin, curvature=True)
        if not math.isfinite(place.value):
            raise Diverged(
                "expected a loss that is a number, at the weights of the model or at weights of 0, "
                "found none; look for absurd values in the labels and columns"
            )
        return place

    def __call__(self, point: FloatArray, *, curvature: bool) -> _Place:
        """Evaluate a point in one pass."""
        sums = self._evaluate(point, curvature)
        coefficient = self.penalty(sums)
        penalty = 0.5 * float(coefficient @ np.square(point))
        value, judged = (_or_infinity(one + penalty) for one in (sums.value, sums.plain))
        place = _Place(point, value, judged, sums.slope + coefficient * point, sums)
        slope = _or_infinity(float(np.linalg.norm(place.slope)))
        self.passes.append(Pass(_finite(value / sums.weight), _finite(slope / sums.weight)))
        if self._best is None or judged < self._best.judged:
            self._best = place
        return place

    def penalty(self, sums: Sums) -> FloatArray:
        return self._objective.penalty(sums.weight)

    def result(self) -> _Place:
        """Return the best point, with curvature."""
        assert self._best is not None
        if self._best.sums.curvature is None:
            self._best = self(self._best.point, curvature=True)
        return self._best

    def unit(self, sums: Sums) -> float:
        """Return the dispersion of the loss, in whose unit a decrease is large or small."""
        if self._objective.loss.has_unit_dispersion:
            return 1.0
        return sums.noise / max(sums.bend, 1e-300)


def _or_infinity(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _finite(value: float) -> float:
    # JSON, and so the ledger, has no infinity.
    return min(value, sys.float_info.max)


@dataclass(slots=True)
class _Damping:
    """Multiple of a fixed curvature that is added to the curvature of the rows.

    Rows that are fitted almost exactly have hardly any curvature, so a full step along them ends
    where they are fitted badly. The fixed curvature bounds the change of every weight, as in the
    method of K. Levenberg, 1944, and D. Marquardt, 1963.
    """

    factor: float = 0.0
    waits: bool = False
    """Whether the last pass failed, so that the next one that succeeds leaves the factor."""

    def failed(self) -> None:
        self.factor, self.waits = max(10 * self.factor, 1e-3), True

    def succeeded(self, gain: float) -> None:
        """Adapt to a step that gave this share of the decrease that its expansion predicted."""
        if gain < 0.25:
            self.factor = max(4 * self.factor, 1e-5)
        elif not self.waits:
            self.factor = self.factor / 10 if self.factor > 1e-9 else 0.0
        self.waits = False


def _newton(walk: _Walk, here: _Place, n_passes: int) -> bool:
    """Take newton steps, damped where they fail; return whether they end at the optimum."""
    full, damping = _full_step(walk, here), _Damping()
    while full.decrease > max(_SETTLED_NEWTON * walk.unit(here.sums), 1e-15 * abs(here.value)):
        if len(walk.passes) >= n_passes:
            return False
        step = _damped_step(walk, here, damping.factor) if damping.factor else full
        trial = walk(here.point - step.move, curvature=True)
        rounding = _ROUNDING * abs(here.value)
        gain = (here.value - trial.value + rounding) / max(step.decrease, rounding, 1e-300)
        if gain > _LEAST_GAIN:
            damping.succeeded(gain)
            here, full = trial, _full_step(walk, trial)
        else:
            damping.failed()
    return True


@dataclass(frozen=True, slots=True)
class _Step:
    move: FloatArray
    """Subtracted from the weights."""
    decrease: float
    """Decrease of the objective that its expansion predicts."""


def _full_step(walk: _Walk, here: _Place) -> _Step:
    bend = _bend(walk, here)
    move = Curvature(bend, least=ALIASED).solve(here.slope)
    return _Step(move, 0.5 * float(here.slope @ move))


def _damped_step(walk: _Walk, here: _Place, factor: float) -> _Step:
    bend = _bend(walk, here)
    # With logistic loss a row has the curvature 1/4 at most.
    fixed = factor * max(0.25 * here.sums.weight, here.sums.bend)
    move = solve(bend + fixed * np.eye(len(bend)), here.slope)
    return _Step(move, float(here.slope @ move - 0.5 * move @ bend @ move))


def _bend(walk: _Walk, here: _Place) -> FloatArray:
    assert here.sums.curvature is not None
    return here.sums.curvature + np.diag(walk.penalty(here.sums))


def _lbfgs(walk: _Walk, start: _Place, n_passes: int) -> None:
    assert start.sums.curvature is not None
    assert start.sums.slot_curvature is not None
    # Scale the weights so that each has curvature 1. Otherwise a level with few rows beside one
    # with very many takes hundreds of passes.
    bend = np.append(np.diag(start.sums.curvature), start.sums.slot_curvature)
    bend = bend + walk.penalty(start.sums)
    unit = 1 / np.sqrt(np.maximum(bend, 1e-12 * bend.max(initial=1.0)))
    first: _Place | None = start

    def mean(place: FloatArray) -> tuple[float, FloatArray]:
        nonlocal first
        known, first = first, None
        if known is None and len(walk.passes) >= n_passes - 1:
            raise _Exhausted
        here = known or walk(place * unit, curvature=False)
        return here.value / here.sums.weight, here.slope * unit / here.sums.weight

    options = {"maxcor": _MEMORY, "maxiter": n_passes, "ftol": _SETTLED, "gtol": 0.0}
    with suppress(_Exhausted):
        minimize(mean, start.point / unit, jac=True, method="L-BFGS-B", options=options)


class _Exhausted(Exception):
    """Raised when one pass is left, the one for the curvature of the result."""


def _gradient_descent(
    walk: _Walk, here: _Place, n_passes: int, learning_rate: float | None
) -> None:
    while len(walk.passes) < n_passes:
        sums = here.sums
        bound = (sums.norm + float(walk.penalty(sums).max(initial=0.0))) / sums.weight
        rate = learning_rate or 1 / max(bound, 1e-300)
        point = here.point - rate * here.slope / sums.weight
        here = walk(point, curvature=len(walk.passes) == n_passes - 1)
        if not math.isfinite(here.value):
            break
