"""Evaluate an objective at one point after another, and remember the best."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from onepass.block import Block, FloatArray
from onepass.errors import Diverged
from onepass.learn.losses import Loss
from onepass.learn.newton.keeps import Keeps
from onepass.learn.newton.restraint import Kinks, Restraint
from onepass.learn.objective import Sums


class BatchObjective(Protocol):
    """A function of all weights that a batch rule minimises."""

    @property
    def loss(self) -> Loss:
        """Loss of the rows."""
        ...

    @property
    def n_dense_weights(self) -> int:
        """Number of weights in the matrix of second derivatives."""
        ...

    @property
    def keeps(self) -> Keeps:
        """Sums that a pass computes for standard errors and statistics of the fit."""
        ...

    @property
    def origin(self) -> FloatArray:
        """The point from which learning began, flat."""
        ...

    def sums(
        self, point: FloatArray, block: Block, *, width: float = 0.0, curvature: bool = False
    ) -> Sums:
        """Evaluate the loss of a block at a point; see `Objective.sums`."""
        ...

    def penalty(self, weight: float) -> FloatArray:
        """Return the coefficient of ``w^2 / 2`` for each weight, for rows of this total weight."""
        ...

    def kinks(self, weight: float) -> Kinks | None:
        """Return l1 penalties and constraints of the dense weights; None if there are none."""
        ...

    def away(self, point: FloatArray) -> FloatArray:
        """Return how far each weight is from that to which the penalty pulls, flat."""
        ...


Evaluate: TypeAlias = Callable[[FloatArray, bool], Sums]
"""One pass over all rows; arguments: the point, and whether to compute the curvature."""

ROUNDING = 1e-13
"""Relative error of the sum over all rows."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Results of one pass over all rows."""

    loss: float
    """Penalised loss, mean per row weight; the largest float where it overflows."""
    slope: float
    """Length of the gradient of `loss`, less the part that l1 penalties and bounds balance."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point with what a pass found there; the objective has all penalties."""

    point: FloatArray
    value: float
    """Objective that a rule minimises; infinite where it is no number."""
    judged: float
    """Objective by which points are compared in the end: kinks are not rounded."""
    slope: FloatArray
    """Gradient of the objective without l1 penalties."""
    sums: Sums


class Walk:
    """Evaluates the penalised objective, records each pass, and remembers the best point."""

    def __init__(self, objective: BatchObjective, evaluate: Evaluate) -> None:
        self._objective, self._evaluate = objective, evaluate
        self.passes: list[Pass] = []
        self.judged_at_start = math.inf
        self._best: Place | None = None

    def start(self, point: FloatArray) -> Place:
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

    def __call__(self, point: FloatArray, *, curvature: bool) -> Place:
        """Evaluate a point in one pass."""
        sums = self._evaluate(point, curvature)
        coefficient = self.penalty(sums)
        away = self._objective.away(point)
        penalty = 0.5 * float(coefficient @ np.square(away))
        left = slope = sums.slope + coefficient * away
        kinks = self._objective.kinks(sums.weight)
        if kinks is not None:
            dense = point[: self._objective.n_dense_weights]
            penalty += kinks.value(dense)
            left = slope.copy()
            left[: len(dense)] -= kinks.balance(slope[: len(dense)], dense)
        value, judged = (_or_infinity(one + penalty) for one in (sums.value, sums.plain))
        place = Place(point, value, judged, slope, sums)
        length = _or_infinity(float(np.linalg.norm(left)))
        self.passes.append(Pass(_finite(value / sums.weight), _finite(length / sums.weight)))
        if self._best is None or self._is_better(place, self._best):
            self._best = place
        return place

    @staticmethod
    def _is_better(place: Place, best: Place) -> bool:
        # A place that is equal but for rounding saves the pass for the curvature of the best one.
        saves = place.sums.curvature is not None and best.sums.curvature is None
        return place.judged - best.judged < (ROUNDING * abs(best.judged) if saves else 0.0)

    def penalty(self, sums: Sums) -> FloatArray:
        return self._objective.penalty(sums.weight)

    def restraint(self, sums: Sums) -> Restraint:
        """Return all penalties and constraints for the rows of some sums.

        The ridge penalty is around the weights to which it pulls, so it has no pull of its own.
        """
        return Restraint(self.penalty(sums), None, self._objective.kinks(sums.weight))

    def result(self) -> Place:
        """Return the best point, with curvature."""
        assert self._best is not None
        if self._best.sums.curvature is None:
            self._best = self(self._best.point, curvature=True)
        return self._best

    @property
    def loss(self) -> Loss:
        """The loss of the objective."""
        return self._objective.loss

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
