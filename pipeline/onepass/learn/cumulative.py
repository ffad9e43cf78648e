"""Cumulative logit loss of ordered classes, with derivatives in thresholds and margins.

Class y of K ordered classes has the probability sigmoid(t_y - z) - sigmoid(t_{y-1} - z), where z is
the margin of a row and t_0 < ... < t_{K-2} are the thresholds between neighbours; beyond them lie
infinities. This is the proportional odds model (P. McCullagh, "Regression models for ordinal data",
JRSS-B 42, 1980, sec. 2). With a = t_y - z and b = t_{y-1} - z the loss is

    softplus(-a) + softplus(b) - log(1 - exp(b - a)),

which is convex in z and t where the thresholds rise (J. Pratt, JASA 76, 1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.learn.curvature import gram
from onepass.special import expit


@dataclass(frozen=True, slots=True)
class Cumulative:
    """Loss of rows at one point, with first and second derivatives, weighted."""

    value: float
    """Sum of the loss; infinite where the thresholds do not rise."""
    slope: FloatArray
    """Derivative by the margin of each row, shape (n_rows,)."""
    curvature: FloatArray
    """Second derivative by the margin of each row, shape (n_rows,)."""
    of_thresholds: FloatArray
    """Sum of the derivatives by each threshold, shape (n_thresholds,)."""
    between: FloatArray
    """Second derivatives by thresholds, shape (n_thresholds, n_thresholds)."""
    mixed: FloatArray
    """Second derivative by the margin of a row and each threshold, (n_rows, n_thresholds)."""

    def on_features(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return slope and curvature by the weights of features, then by the thresholds.

        Parameters
        ----------
        x
            Features without a column of ones, shape (n_rows, n_dense).
        """
        mixed = x.T @ self.mixed
        curvature = np.block([[gram(x, self.curvature), mixed], [mixed.T, self.between]])
        return np.append(self.slope @ x, self.of_thresholds), curvature


def rises(thresholds: FloatArray) -> bool:
    """Return whether each threshold lies above the one before it."""
    return bool((np.diff(thresholds) > 0).all())


def cumulative(
    z: FloatArray, y: FloatArray, weight: FloatArray, thresholds: FloatArray
) -> Cumulative:
    """Return loss and derivatives of rows.

    Parameters
    ----------
    z
        Margins, shape (n_rows,).
    y
        Classes from 0 to n_thresholds.
    weight
        Shape (n_rows,).
    thresholds
        Rising, shape (n_thresholds,).
    """
    n, above, below, gap, place = _places(z, y, thresholds)
    rest, own = _of_gaps(gap)
    up, down = expit(-above), expit(below)
    flat, step = weight * up * (1 - up), weight * down * (1 - down)
    q = weight * own[place]
    mixed = np.zeros((len(z), n))
    rows = np.arange(len(z))
    has_above, has_below = place < n, place > 0
    mixed[rows[has_above], place[has_above]] -= flat[has_above]
    mixed[rows[has_below], place[has_below] - 1] -= step[has_below]
    inner = weight * rest[place]
    first = np.zeros(n + 2)
    np.add.at(first, place + 1, -weight * up - inner)
    np.add.at(first, place, weight * down + inner)
    second = np.zeros(n + 2)
    np.add.at(second, place + 1, flat + q)
    np.add.at(second, place, step + q)
    between = np.diag(second[1:-1])
    beside = np.bincount(place, q, n + 1)[1:-1]
    at = np.arange(n - 1)
    between[at, at + 1] = between[at + 1, at] = -beside
    return Cumulative(
        value=total(z, y, weight, thresholds),
        slope=weight * (up - down),
        curvature=flat + step,
        of_thresholds=first[1:-1],
        between=between,
        mixed=mixed,
    )


def scores(
    x: FloatArray, z: FloatArray, y: FloatArray, weight: FloatArray, thresholds: FloatArray
) -> FloatArray:
    """Return the derivatives of each row by the weights of its features, then by the thresholds.

    Parameters
    ----------
    x
        Features without a column of ones, shape (n_rows, n_dense).
    z, y, weight, thresholds
        As for `cumulative`.

    Returns
    -------
    Shape (n_rows, n_dense + n_thresholds).
    """
    n, above, below, gap, place = _places(z, y, thresholds)
    up, down, inner = expit(-above), expit(below), _of_gaps(gap)[0][place]
    rows = np.arange(len(z))
    # The classes at both ends have a threshold on one side; the infinite one has a column as well.
    edges = np.zeros((len(z), n + 2))
    edges[rows, place + 1] = -weight * (up + inner)
    edges[rows, place] = weight * (down + inner)
    return np.column_stack([(weight * (up - down))[:, None] * x, edges[:, 1:-1]])


def total(z: FloatArray, y: FloatArray, weight: FloatArray, thresholds: FloatArray) -> float:
    """Return the weighted sum of the loss; infinite where the thresholds do not rise."""
    if not rises(thresholds):
        return float("inf")
    _, above, below, gap, place = _places(z, y, thresholds)
    # exp(-gap) is 0 for the first and the last class, which have one threshold.
    logs = np.logaddexp(0.0, -above) + np.logaddexp(0.0, below)
    logs -= np.log(-np.expm1(-gap))[place]
    return float(weight @ logs)


def thresholds_of(logs: FloatArray) -> FloatArray:
    """Return the thresholds at which rows of margin 0 have given shares.

    Parameters
    ----------
    logs
        Logarithm of the share of each class, up to a constant, shape (n_classes,).
    """
    share = np.exp(logs - logs.max())
    below = np.cumsum(share[:-1])
    return np.asarray(np.log(below) - np.log(np.cumsum(share[::-1])[::-1][1:]))


def probabilities(margins: FloatArray) -> FloatArray:
    """Return the probability of each class, shape (n_rows, n_thresholds + 1).

    Parameters
    ----------
    margins
        Threshold less margin of the row, rising, shape (n_rows, n_thresholds).
    """
    edges = np.column_stack(
        [
            np.zeros(len(margins)),
            expit(np.maximum.accumulate(margins, axis=1)),
            np.ones(len(margins)),
        ]
    )
    return np.diff(edges, axis=1)


def _places(
    z: FloatArray, y: FloatArray, thresholds: FloatArray
) -> tuple[int, FloatArray, FloatArray, FloatArray, NDArray[np.int64]]:
    """Return the thresholds' number, those above and below each row, the gaps, and the classes."""
    n, place = len(thresholds), y.astype(np.int64)
    edges = np.concatenate([[-np.inf], thresholds, [np.inf]])
    return n, edges[place + 1] - z, edges[place] - z, np.diff(edges), place


def _of_gaps(gap: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the first derivative of -log(1 - exp(-gap)) with its sign changed, and the second."""
    # Both fall to 0 as the gap grows; beyond 700 the exponential overflows.
    e = np.expm1(np.minimum(gap, 700.0))
    first = np.where(gap < 700.0, 1 / e, 0.0)
    return first, first * (1 + first)
