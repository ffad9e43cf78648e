"""The penalties and constraints of one solve, on standardised features.

A ridge penalty alone leaves a linear system. An l1 penalty, bounds or an order of weights make it a
quadratic program, which `descent` solves exactly. Weights that must ascend are written as sums of
their increments: those are not negative, and within the order an l1 penalty is linear in them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from onepass.block import FloatArray
from onepass.learn.curvature import solve
from onepass.learn.newton.descent import Box, minimise
from onepass.learn.newton.grouped import Groups, minimise_groups
from onepass.learn.penalties import Penalties
from onepass.learn.scaling import Standardiser


@dataclass(frozen=True, slots=True)
class Kinks:
    """Penalties and constraints that no quadratic is; weights are flat, the intercept last."""

    box: Box
    """Bounds and l1 penalties of `turn`'s coordinates."""
    l1: FloatArray
    """L1 penalty of each weight."""
    turn: FloatArray | None = None
    """Matrix T by which the weights are ``T d``, with bounds on d; None for ``w = d``."""
    groups: Groups | None = None
    """Penalties by column, in place of those of each weight."""

    def minimise(self, a: FloatArray, c: FloatArray, start: FloatArray) -> FloatArray:
        """Return the minimum of ``w'aw / 2 - c'w`` with these penalties and constraints."""
        if self.groups is not None:
            return minimise_groups(a, c, self.groups, start)
        if self.turn is None:
            return minimise(a, c, self.box, start)
        turn = self.turn
        found = minimise(turn.T @ a @ turn, turn.T @ c, self.box, self.bounded(start))
        return self.from_bounded(found)

    def value(self, w: FloatArray) -> float:
        """Return the l1 penalty, or that by columns."""
        return self.groups.value(w) if self.groups is not None else float(self.l1 @ np.abs(w))

    def nearest(self, w: FloatArray) -> FloatArray:
        """Return weights near some weights that meet the constraints."""
        return self.from_bounded(self.box.nearest(self.bounded(w)))

    def times(self, weight: float) -> Kinks:
        """Return these constraints with the l1 penalties times a weight."""
        box = replace(self.box, l1=weight * self.box.l1)
        groups = self.groups and replace(self.groups, l1=weight * self.groups.l1)
        return replace(self, box=box, l1=weight * self.l1, groups=groups)

    def balance(self, slope: FloatArray, point: FloatArray) -> FloatArray:
        """Return the part of a slope that the penalties and bounds balance at a point.

        At the minimum it is the whole slope (the conditions of Karush, Kuhn and Tucker).

        Parameters
        ----------
        slope
            Gradient, at the point, of all terms of an objective but these.
        """
        if self.groups is not None:
            return self.groups.balance(slope, point)
        if self.turn is None:
            return self.box.balance(slope, point)
        found = self.box.balance(self.turn.T @ slope, self.bounded(point))
        return np.asarray(np.linalg.solve(self.turn.T, found), np.float64)

    def bounded(self, w: FloatArray) -> FloatArray:
        """Return the coordinates of weights in which the constraints are bounds."""
        return w if self.turn is None else np.asarray(np.linalg.solve(self.turn, w), np.float64)

    def from_bounded(self, d: FloatArray) -> FloatArray:
        """Return the weights of such coordinates."""
        return d if self.turn is None else np.asarray(self.turn @ d)


@dataclass(frozen=True, slots=True)
class Restraint:
    """Everything that holds the weights of one solve back."""

    ridge: FloatArray
    """Coefficient of ``w^2 / 2`` of each weight, flat."""
    pull: FloatArray | None = None
    """Coefficient of ``-w``, where the ridge penalty pulls to other weights than 0."""
    kinks: Kinks | None = None

    def slope(self, point: FloatArray) -> FloatArray:
        """Return the gradient of the ridge penalty."""
        found = self.ridge * point
        return found if self.pull is None else found - self.pull

    def step(self, bend: FloatArray, slope: FloatArray, point: FloatArray) -> FloatArray:
        """Return the step, to be subtracted, to the minimum of a quadratic with the penalty.

        Parameters
        ----------
        bend, slope
            Curvature and slope of the quadratic at `point`, without the penalty and with it.
        """
        a = bend + np.diag(self.ridge)
        if self.kinks is None:
            return solve(a, slope)
        return point - self.kinks.minimise(a, a @ point - slope, point)

    def decrement(
        self, bend: FloatArray, slope: FloatArray, step: FloatArray, point: FloatArray
    ) -> float:
        """Return twice the decrease of the objective that a quadratic model predicts of a step."""
        plain = float(slope @ step)
        if self.kinks is None:
            return plain
        bent = float(step @ (bend @ step + self.ridge * step))
        return 2 * plain - bent - 2 * self.kinks_change(point, step)

    def balance(self, slope: FloatArray, point: FloatArray) -> FloatArray:
        """Return the part of a slope that the kinks balance; see `Kinks.balance`."""
        return np.zeros_like(slope) if self.kinks is None else self.kinks.balance(slope, point)

    def kinks_change(self, point: FloatArray, step: FloatArray) -> float:
        """Return the increase of the l1 penalty in a step that is subtracted."""
        if self.kinks is None:
            return 0.0
        return self.kinks.value(point - step) - self.kinks.value(point)

    def solve(self, h: FloatArray, b: FloatArray, start: FloatArray) -> FloatArray:
        """Return the minimum of ``w'hw / 2 - b'w`` with the penalty.

        Parameters
        ----------
        start
            Weights near it.
        """
        a, c = h + np.diag(self.ridge), b if self.pull is None else b + self.pull
        return solve(a, c) if self.kinks is None else self.kinks.minimise(a, c, start)


def kinks_of(
    given: Penalties, scaling: Standardiser, l1: float, *, by_column: bool = False
) -> Kinks | None:
    """Return the kinks of one margin on standardised features; None if there are none.

    Parameters
    ----------
    l1
        Penalty per row, times the weight of all rows.
    by_column
        Whether the features of a column enter and leave together. The penalty of a column grows
        with the root of its number of features (Yuan, Lin, eq. 2.1).
    """
    if not (l1 or given.is_constrained):
        return None
    width = len(scaling.scale)
    factors = np.array(given.factors) if given.factors else np.ones(width)
    # The penalty is on features of unit variance; those in use had it at the last refresh.
    each = np.append(l1 * factors * scaling.deviation() / scaling.scale, 0.0)
    low, high = np.full(width + 1, -np.inf), np.full(width + 1, np.inf)
    if given.low:
        low[:-1] = np.array(given.low) * scaling.scale
        high[:-1] = np.array(given.high) * scaling.scale
    if by_column:
        return Kinks(Box(each, low, high), each, groups=_groups(given, each))
    turn = _turn(given, scaling) if given.chains else None
    if turn is None:
        return Kinks(Box(each, low, high), each)
    ordered = [j for chain in given.chains for j, _ in chain]
    low[ordered] = 0.0
    return Kinks(Box(np.abs(turn).T @ each, low, high), each, turn)


def _turn(given: Penalties, scaling: Standardiser) -> FloatArray:
    turn = np.eye(len(scaling.scale) + 1)
    for chain in given.chains:
        for place, (j, unit) in enumerate(chain):
            turn[j, [k for k, _ in chain[: place + 1]]] = unit * scaling.scale[j]
    return turn


def _groups(given: Penalties, each: FloatArray) -> Groups:
    numbers = np.array(given.groups)
    found = [np.flatnonzero(numbers == k) for k in np.unique(numbers)]
    # Features are of unit variance but for the last refresh, which their penalties allow for.
    costs = [float(np.sqrt(np.sum(np.square(each[own])))) for own in found]
    return Groups(
        [own for own, cost in zip(found, costs, strict=True) if cost > 0],
        np.array([cost for cost in costs if cost > 0]),
    )
