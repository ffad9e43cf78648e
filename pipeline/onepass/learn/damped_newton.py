"""Newton's method in batch passes, damped where a full step fails."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from onepass.block import FloatArray
from onepass.learn.curvature import ALIASED, Curvature, solve
from onepass.learn.newton.restraint import Restraint
from onepass.learn.walk import ROUNDING, Place, Walk

_SETTLED = 1e-8
"""Decrease at which newton stops, in units of the dispersion.

All weights together are then within 1e-4 of their standard errors of the optimum. A bound relative
to the objective would leave them far from it where rows are many.
"""

_LEAST_GAIN = 1e-4
"""Share of the predicted decrease that a step of newton must reach."""

_TRUSTED = 0.15
"""Relative error of the predicted decrease up to which a prediction counts as true.

Where weights of separable rows go on and on, a step gives 1.26 of what its expansion predicts.
"""


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


def newton(walk: Walk, here: Place, n_passes: int) -> tuple[bool, bool]:
    """Take newton steps, damped where they fail; see `Minimum.settled` and `Minimum.trusted`."""
    full, damping, trusted = _full_step(walk, here), _Damping(), True
    while full.decrease > max(_SETTLED * walk.unit(here.sums), 1e-15 * abs(here.value)):
        if len(walk.passes) >= n_passes:
            return False, trusted
        step = _damped_step(walk, here, damping.factor) if damping.factor else full
        trial = walk(here.point - step.move, curvature=True)
        rounding = ROUNDING * abs(here.value)
        gain = (here.value - trial.value + rounding) / max(step.decrease, rounding, 1e-300)
        if gain > _LEAST_GAIN:
            if step is full and step.decrease > 1e3 * rounding:
                trusted = abs(gain - 1) < _TRUSTED
            damping.succeeded(gain)
            here, full = trial, _full_step(walk, trial)
        else:
            damping.failed()
            trusted = False
    return True, trusted


@dataclass(frozen=True, slots=True)
class _Step:
    move: FloatArray
    """Subtracted from the weights."""
    decrease: float
    """Decrease of the objective that its expansion predicts."""


def _full_step(walk: Walk, here: Place) -> _Step:
    restraint = walk.restraint(here.sums)
    if restraint.kinks is not None:
        return _kinked_step(here, restraint, 0.0)
    bend = _bend(walk, here)
    move = Curvature(bend, least=ALIASED).solve(here.slope)
    return _Step(move, 0.5 * float(here.slope @ move))


def _damped_step(walk: Walk, here: Place, factor: float) -> _Step:
    # With logistic loss a row has the curvature 1/4 at most.
    fixed = factor * max(0.25 * walk.loss.unit * here.sums.weight, here.sums.bend)
    restraint = walk.restraint(here.sums)
    if restraint.kinks is not None:
        return _kinked_step(here, restraint, fixed)
    bend = _bend(walk, here)
    move = solve(bend + fixed * np.eye(len(bend)), here.slope)
    return _Step(move, float(here.slope @ move - 0.5 * move @ bend @ move))


def _kinked_step(here: Place, restraint: Restraint, fixed: float) -> _Step:
    """Return the proximal step: to the minimum of the expansion with all penalties and constraints.

    The method is that of J. D. Lee, Y. Sun, M. A. Saunders, SIAM J. Optim. 24, 2014; each
    subproblem is solved exactly.
    """
    curvature = here.sums.curvature
    assert curvature is not None
    damped = replace(restraint, ridge=restraint.ridge + fixed)
    move = damped.step(curvature, here.slope, here.point)
    return _Step(move, 0.5 * restraint.decrement(curvature, here.slope, move, here.point))


def _bend(walk: Walk, here: Place) -> FloatArray:
    assert here.sums.curvature is not None
    return here.sums.curvature + np.diag(walk.penalty(here.sums))
