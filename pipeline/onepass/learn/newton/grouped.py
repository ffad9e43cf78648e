"""Minimise a quadratic with a group lasso penalty: block descent, then Newton's method.

A group of weights, such as the levels of a column, is 0 as a whole or not at all (M. Yuan, Y. Lin,
JRSS-B 68, 2006). Block coordinate descent finds the groups that are not 0. Each of its steps is
exact, by the eigenvalues of the group's curvature (as in N. Simon, R. Tibshirani, "Standardization
and the group lasso penalty", Statistica Sinica 22, 2012, sec. 2, for features that are not
orthogonal). Away from 0 the penalty is smooth, and Newton's method ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray, IntArray
from onepass.learn.curvature import solve

_FLAT = 1e-12
"""Curvature, beside the largest, below which a weight counts as one that never varied."""

_EXACT = 1e-9
"""Error of a slope that counts as rounding, relative to the largest slope at 0."""

_ROUNDS, _SWEEPS, _STEPS = 60, 8, 12
"""Most attempts to end exactly, sweeps before the first of them, and steps of Newton in each."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Which weights enter and leave together, and what that costs."""

    of: list[IntArray]
    """Weights of each group. A weight of no group is free."""
    l1: FloatArray
    """Coefficient of the length of each group's weights, shape (n_groups,)."""

    def value(self, w: FloatArray) -> float:
        """Return the penalty."""
        return float(self.l1 @ [np.linalg.norm(w[own]) for own in self.of])

    def balance(self, slope: FloatArray, w: FloatArray) -> FloatArray:
        """Return the part of a slope that the penalty balances at some weights.

        Parameters
        ----------
        slope
            Gradient, at these weights, of all other terms of an objective.
        """
        found = np.zeros_like(slope)
        for own, l1 in zip(self.of, self.l1, strict=True):
            towards = -w[own] if w[own].any() else slope[own]
            length = float(np.linalg.norm(towards))
            reach = l1 if w[own].any() else min(l1, length)
            found[own] = reach * towards / max(length, 1e-300)
        return found


def minimise_groups(a: FloatArray, c: FloatArray, groups: Groups, start: FloatArray) -> FloatArray:
    """Return the w that minimises ``w'aw / 2 - c'w`` plus the penalty of groups.

    Parameters
    ----------
    a
        Symmetric positive semi-definite matrix.
    start
        Weights to start from. The nearer they are, the faster is the descent.
    """
    grouped = np.concatenate(groups.of) if groups.of else np.empty(0, np.int64)
    diagonal = np.diag(a)
    flat = diagonal <= _FLAT * diagonal.max(initial=0.0)
    free = np.setdiff1d(np.flatnonzero(~flat), grouped)
    roots = [np.linalg.eigh(a[np.ix_(own, own)]) for own in groups.of]
    x = np.where(flat, 0.0, start)
    tolerance = _EXACT * max(float(np.abs(c).max(initial=0.0)), 1e-300)
    for _ in range(_ROUNDS):
        for _ in range(_SWEEPS):
            if _sweep(a, c, groups, roots, free, x) <= 1e-3 * tolerance:
                break
        x = _ended(a, c, groups, free, x)
        if worst_group_fault(a @ x - c, groups, x, free) <= tolerance:
            break
    return x


def _sweep(
    a: FloatArray,
    c: FloatArray,
    groups: Groups,
    roots: Sequence[tuple[FloatArray, FloatArray]],
    free: IntArray,
    x: FloatArray,
) -> float:
    """Minimise over the free weights, and one group after another; return the largest change.

    The change is that of a slope: of the weights, times their curvature.
    """
    slope, largest = a @ x - c, 0.0
    if len(free):
        step = solve(a[np.ix_(free, free)], slope[free])
        x[free] -= step
        slope -= a[:, free] @ step
    for own, l1, (values, vectors) in zip(groups.of, groups.l1, roots, strict=True):
        rest = values * (vectors.T @ x[own]) - vectors.T @ slope[own]
        found = vectors @ _shrunk(values, rest, l1)
        move = found - x[own]
        if move.any():
            x[own] = found
            slope += a[:, own] @ move
            largest = max(largest, float(np.abs(values * (vectors.T @ move)).max()))
    return largest


def _shrunk(values: FloatArray, rest: FloatArray, l1: float) -> FloatArray:
    """Return the y that minimises ``sum(values y^2) / 2 - rest'y + l1 |y|``.

    The length r of y solves ``sum((rest / (values r + l1))^2) = 1``, whose left side is convex and
    falls, so Newton's method from below ends at it.
    """
    values = np.maximum(values, 0.0)
    known = values > _FLAT * values.max(initial=0.0)
    rest = np.where(known, rest, 0.0)
    if float(np.linalg.norm(rest)) <= l1:
        return np.zeros_like(rest)
    if l1 == 0:
        return np.where(known, rest / np.where(known, values, 1.0), 0.0)
    length = 0.0
    for _ in range(100):
        below = values * length + l1
        share = float(np.sum(np.square(rest / below)))
        fall = 2 * float(np.sum(np.square(rest) * values / below**3))
        # Newton on 1 / sqrt(share), which is nearly a line.
        more = 2 * share * (np.sqrt(share) - 1) / fall
        length += more
        if abs(more) <= 1e-15 * length:
            break
    return length * rest / (values * length + l1)


def _ended(
    a: FloatArray, c: FloatArray, groups: Groups, free: IntArray, x: FloatArray
) -> FloatArray:
    """Take steps of Newton's method over the groups that are not 0, while they stay away from 0."""
    inside = [(own, l1) for own, l1 in zip(groups.of, groups.l1, strict=True) if x[own].any()]
    own = np.concatenate([free, *(own for own, _ in inside)])
    if not len(own):
        return x
    curved, here = a[np.ix_(own, own)], x[own]
    least = _value(curved, c[own], inside, len(free), here)
    for _ in range(_STEPS):
        slope, bend = _derivatives(curved, c[own], inside, len(free), here)
        step = solve(bend, slope)
        for length in (1.0, 0.5, 0.25, 0.06):
            value = _value(curved, c[own], inside, len(free), here - length * step)
            if value < least:
                break
        else:
            # At the minimum, rounding hides a decrease; the last step is taken even so.
            here = here - step if slope @ step < 1e-9 * abs(least) else here
            break
        here, least = here - length * step, value
    found = x.copy()
    found[own] = here
    return found


def _value(
    curved: FloatArray, c: FloatArray, inside: list[tuple[IntArray, float]], at: int, x: FloatArray
) -> float:
    value = 0.5 * float(x @ curved @ x) - float(c @ x)
    for own, l1 in inside:
        value += l1 * float(np.linalg.norm(x[at : at + len(own)]))
        at += len(own)
    return value


def _derivatives(
    curved: FloatArray, c: FloatArray, inside: list[tuple[IntArray, float]], at: int, x: FloatArray
) -> tuple[FloatArray, FloatArray]:
    slope, bend = curved @ x - c, curved.copy()
    for own, l1 in inside:
        place = slice(at, at + len(own))
        length = max(float(np.linalg.norm(x[place])), 1e-300)
        unit = x[place] / length
        slope[place] += l1 * unit
        bend[place, place] += l1 / length * (np.eye(len(own)) - np.outer(unit, unit))
        at += len(own)
    return slope, bend


def worst_group_fault(slope: FloatArray, groups: Groups, x: FloatArray, free: IntArray) -> float:
    """Return the largest violation of the conditions of a minimum (Yuan, Lin, eq. 2.4).

    Parameters
    ----------
    slope
        Gradient of the quadratic at `x`.
    free
        Weights of no group.
    """
    faults = [float(np.abs(slope[free]).max(initial=0.0))]
    for own, l1 in zip(groups.of, groups.l1, strict=True):
        length = float(np.linalg.norm(x[own]))
        if length > 0:
            faults.append(float(np.linalg.norm(slope[own] + l1 * x[own] / length)))
        else:
            faults.append(max(0.0, float(np.linalg.norm(slope[own])) - l1))
    return max(faults)
