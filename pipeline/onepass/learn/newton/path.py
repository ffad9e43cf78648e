"""The path of penalties: the weights at each of many penalties, from the quadratic of one pass.

For squared loss the path is that of the rows. For the other losses it is that of the expansion of
their loss around the weights, the least squares approximation of H. Wang and C. Leng (JASA 102,
2007), with their criterion in place of the likelihood.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.learn.curvature import Curvature
from onepass.learn.newton.restraint import Restraint
from onepass.learn.newton.solution import Solution
from onepass.learn.pointwise import SQUARED

LEAST_MIX = 1e-3
"""Least share of l1 by which the largest penalty is found; at 0 no penalty makes all weights 0."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How one penalty is shared out, and over what."""

    alpha: float = 1.0
    """Share of l1: a penalty p adds ``p alpha |w| + p (1 - alpha) / 2 |w|^2`` per row."""
    by_column: bool = False
    """Whether the features of a column enter together, by the length of their weights."""

    def chosen(self, penalty: float) -> FloatArray:
        """Return the penalty as a state keeps it; see `Solution.chosen`."""
        alpha = self.alpha
        return np.array([penalty * alpha, penalty * (1 - alpha), float(self.by_column)])


@dataclass(frozen=True, slots=True)
class PathPoint:
    """The weights at one penalty."""

    penalty: float
    weights: FloatArray
    """On raw features, shape (n_dense + 1,), the intercept last."""
    active: NDArray[np.bool_]
    """Which features have a weight, shape (n_dense,)."""
    freedom: float
    """Degrees of freedom."""
    rise: float
    """Increase of the mean loss over that of the weights that the path ends at, by the quadratic,
    on scaled labels."""
    aic: float
    bic: float


def path(
    solution: Solution, mix: Mix, n_points: int, ratio: float, repeats: float = 1.0
) -> list[PathPoint]:
    """Return the path from the least penalty at which all penalised weights are 0.

    Parameters
    ----------
    n_points
        Penalties, each the same multiple of the next.
    ratio
        Smallest penalty as a share of the largest.
    repeats
        How often each row was learnt, on average.
    """
    own = copy(solution)
    weight = float(own.past.weight)
    largest, start = _largest(own, mix)
    # At the penalty itself, rounding would decide whether the first weight is 0.
    largest *= 1 + 1e-9
    grid = np.geomspace(largest, largest * ratio, n_points) if largest else np.zeros(1)
    floor = at_penalty(own, mix, 0.0, start)
    found = []
    for penalty in grid:
        start = at_penalty(own, mix, float(penalty), start)
        active = start[:-1] != 0
        freedom = _freedom(own, start, active)
        rise = (_quadratic(own, start) - _quadratic(own, floor)) / weight
        misfit, n_rows = _misfit(own, start, floor, repeats), own.known_rows / repeats
        found.append(
            PathPoint(
                penalty=float(penalty),
                weights=own.scaling.raw_weights(start[None])[0],
                active=active,
                freedom=freedom,
                rise=rise,
                aic=misfit + 2 * freedom,
                bic=misfit + math.log(max(n_rows, 1.0)) * freedom,
            )
        )
    return found


def at_penalty(own: Solution, mix: Mix, penalty: float, start: FloatArray) -> FloatArray:
    """Return the flat weights at one penalty, which becomes that of the solution."""
    own.chosen = mix.chosen(penalty)
    return _restraint(own).solve(own.past.h, own.past.b, start)


def choose(solution: Solution, mix: Mix, penalty: float) -> float:
    """Move a solution to one point of its path, whose penalty holds the weights from now on.

    Returns
    -------
    Increase of the mean loss by that, as the past's quadratic predicts it, on scaled labels.
    """
    before = _quadratic(solution, solution.w[0])
    solution.w[0] = at_penalty(solution, mix, penalty, solution.w[0])
    rise = _quadratic(solution, solution.w[0]) - before
    return rise / max(float(solution.past.weight), 1e-300)


def _restraint(own: Solution) -> Restraint:
    return own.restrained(own.ridge(0.0), own.past.anchor)


def _largest(own: Solution, mix: Mix) -> tuple[float, FloatArray]:
    """Return the least penalty at which every penalised weight is 0, and the weights there."""
    mix = Mix(max(mix.alpha, LEAST_MIX), mix.by_column)
    own.chosen = mix.chosen(1.0)
    costs = _costs(own)
    if not (costs > 0).any():
        return 0.0, own.w[0]
    over = 1e3 * float(np.abs(own.past.b).max() / costs[costs > 0].min())
    # Any penalty above the largest leaves the weights that are not penalised.
    start = at_penalty(own, Mix(1.0, mix.by_column), max(over, 1e-300), own.w[0])
    own.chosen = mix.chosen(1.0)
    slopes = own.past.h @ start - own.past.b
    kinks = _restraint(own).kinks
    assert kinks is not None
    if kinks.groups is not None:
        sizes = np.array([float(np.linalg.norm(slopes[place])) for place in kinks.groups.of])
        return float((sizes / kinks.groups.l1).max()), start
    turned = slopes if kinks.turn is None else kinks.turn.T @ slopes
    known = costs > 0
    return float((np.abs(turned[known]) / costs[known]).max()), start


def _costs(own: Solution) -> FloatArray:
    """Return the cost of each coordinate, or of each group, at a penalty of 1."""
    kinks = _restraint(own).kinks
    assert kinks is not None
    return kinks.groups.l1 if kinks.groups is not None else kinks.box.l1


def _quadratic(own: Solution, w: FloatArray) -> float:
    return float(0.5 * w @ own.past.h @ w - own.past.b @ w)


def _freedom(own: Solution, w: FloatArray, active: NDArray[np.bool_]) -> float:
    """Return the degrees of freedom: the trace of the map from labels to fitted margins.

    For l1 that is the number of weights (H. Zou, T. Hastie, R. Tibshirani, Annals of Statistics 35,
    2007). A penalty that bends, such as that of groups, shrinks it (S. Vaiter et al., 2012).
    """
    kept = np.flatnonzero(np.append(active & own.scaling.varies(), True))
    bend = own.past.h[np.ix_(kept, kept)]
    restraint = _restraint(own)
    held = np.diag(restraint.ridge)[np.ix_(kept, kept)]
    groups = restraint.kinks.groups if restraint.kinks is not None else None
    if groups is not None:
        place = np.full(len(w), -1)
        place[kept] = np.arange(len(kept))
        for inside, l1 in zip(groups.of, groups.l1, strict=True):
            inside = inside[place[inside] >= 0]
            length = float(np.linalg.norm(w[inside]))
            if length > 0:
                unit = w[inside] / length
                more = l1 / length * (np.eye(len(inside)) - np.outer(unit, unit))
                held[np.ix_(place[inside], place[inside])] += more
    return float(np.sum(Curvature(bend + held).inverse() * bend))


def _misfit(own: Solution, w: FloatArray, floor: FloatArray, repeats: float) -> float:
    """Return minus twice the log likelihood, up to a constant, by the quadratic."""
    past, n_rows = own.past, own.known_rows / repeats
    if own.loss.code == SQUARED:
        residual = float(past.label_square) + 2 * _quadratic(own, w)
        return n_rows * math.log(max(residual / float(past.weight), 1e-300))
    rise = 2 * (_quadratic(own, w) - _quadratic(own, floor)) / repeats
    if own.loss.has_unit_dispersion:
        return rise
    # The noise is per unit of weight, so that the criterion does not depend on that unit.
    unit = past.dispersion(own.loss, floor, n_rows) * float(past.weight) / repeats / n_rows
    return rise / max(unit, 1e-300)
