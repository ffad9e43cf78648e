"""Sums over labels, which the log likelihood of all weights shares.

A loss is a negative log likelihood without the terms that depend on the label alone. These terms,
and what a model of an intercept alone would have lost, are the same for all weights. So they are
added up while rows are learnt.
"""

from __future__ import annotations

import math

import numpy as np

from onepass.block import Block, FloatArray
from onepass.jit import reordered
from onepass.learn.losses import PROBABILITY, VARIANCE_POWERS, Loss
from onepass.learn.pointwise import exp_below
from onepass.special import gammaln, xlogy

CONSTANT, PEARSON, N_ROWS, LABEL, LEAST, OWN, LOG_WEIGHT, SQUARE_WEIGHT, SCALED, RATE, SHIFT = (
    range(11)
)
"""Places of the sums.

- CONSTANT: the constant of the quadratic model of the past, which newton adds
- PEARSON: squared residuals over the variance of the loss, 0 for classes; newton adds it
- N_ROWS: rows of positive weight
- LABEL: labels
- LEAST: the loss of a model that fits each label
- OWN: terms of the log likelihood in the label alone, not weighted where the dispersion is unknown
- LOG_WEIGHT, SQUARE_WEIGHT: logarithms and squares of the weights
- SCALED, RATE, SHIFT: ``y e^((1-p)o)``, ``e^((2-p)o)``, and ``y o`` (p = 1) or ``o`` (p = 2), for
  offsets o and a variance that is the mean to the power p; for other losses SHIFT is the sum of
  ``|o|``, which is 0 only without offsets
"""
N_SUMS = 11

LIKELIHOODS = PROBABILITY | {
    "squared", "softmax", "ordinal", "poisson", "gamma", "tweedie", "negative_binomial",
    "inverse_gaussian",
}  # fmt: skip
"""Losses that are negative log likelihoods, up to terms in the label alone and a dispersion."""

_MOST_PEARSON = 1e200

_TABLE = 256
_COUNTS = np.arange(_TABLE, dtype=np.float64)
_LEAST_OF_COUNTS = _COUNTS - _COUNTS * np.log(np.maximum(_COUNTS, 1.0))
_LOG_FACTORIALS = np.cumsum(np.log(np.maximum(_COUNTS, 1.0)))


def n_sums(loss: Loss) -> int:
    """Return how many sums `label_sums` has; 0 for losses that are no likelihood."""
    if loss.name not in LIKELIHOODS:
        return 0
    return N_SUMS + loss.n_classes


def label_sums(loss: Loss, block: Block) -> FloatArray:
    """Return the sums over the labels of a block, shape (n_sums,).

    Parameters
    ----------
    block
        Rows with labels, and perhaps offsets, on the learner's scale.

    Returns
    -------
    The sums, then for softmax and ordinal the weight of each class.
    """
    found = np.zeros(n_sums(loss))
    if not block.n_rows:
        return found
    total, squares, labels, least, most = _moments(block.weight, block.label)
    if not least > 0:
        of_weight = np.flatnonzero(block.weight > 0)
        return label_sums(loss, block.take(of_weight)) if len(of_weight) else found
    y, weight = block.label, block.weight
    found[N_ROWS] = len(y)
    found[LOG_WEIGHT] = len(y) * math.log(least) if least == most else float(np.log(weight).sum())
    found[LABEL], found[SQUARE_WEIGHT] = labels, squares
    found[LEAST], found[OWN] = _terms(loss, y, weight)
    found[SCALED], found[RATE] = labels, total
    if block.offset is not None:
        found[SCALED], found[RATE], found[SHIFT] = _of_offsets(loss, y, weight, block.offset)
    if loss.n_classes:
        found[N_SUMS:] = np.bincount(y.astype(np.int64), weight, loss.n_classes)
    return found


def loss_and_pearson(
    loss: Loss, z: FloatArray, y: FloatArray, weight: FloatArray, *, is_final: bool = False
) -> tuple[float, float]:
    """Return the weighted loss at margins z, and Pearson's chi-squared; 0 for losses of classes.

    Parameters
    ----------
    z
        Shape (n_rows, n_outputs).
    is_final
        Whether the margins are those of the weights that the statistics are about.
    """
    if loss.name == "softmax":
        return loss.total(z, y, weight), 0.0
    z = np.ascontiguousarray(z[:, 0])
    match loss.name:
        case "logistic":
            return float(_logistic(z, y, weight)), 0.0
        case "poisson":
            value, pearson = _poisson(z, y, weight)
            # The mean of an absurd margin is so small that no number holds its part.
            return float(value), min(float(pearson), _MOST_PEARSON)
        case "gamma":
            share = y * np.exp(-z)
            residual, pearson = _dot(weight, share - 1), _dot(weight, np.square(share - 1))
            # At the optimum residuals sum to 0. To first order, this is the sum of squares there:
            # after one pass over 20,000 rows it is 0.05 % off, and 1 % off without.
            if not is_final:
                pearson -= 2 * residual * pearson / max(float(weight.sum()), 1e-300)
            return _dot(weight, share + z), pearson
    mean, power = np.exp(np.minimum(z, 700.0)), mean_power(loss)
    pearson = 0.0
    if power is not None:
        pearson = _dot(weight, np.square(y - mean) / mean**power)
    elif loss.name == "negative_binomial":
        pearson = _dot(weight, np.square(y - mean) / (mean + loss.shape * np.square(mean)))
    return loss.total(z, y, weight), min(pearson, _MOST_PEARSON)


@reordered
def _logistic(z: FloatArray, y: FloatArray, weight: FloatArray) -> float:
    # log(1 + e) = 2 artanh(e / (2 + e)), a series in a number of at most 1/3. Without a call, the
    # loop handles several rows at once and takes a fifth of the time.
    total = 0.0
    for i in range(len(z)):
        e = exp_below(-abs(z[i]))
        s = e / (2.0 + e)
        q = s * s
        p = 1.0 / 31.0
        p = p * q + 1.0 / 29.0
        p = p * q + 1.0 / 27.0
        p = p * q + 1.0 / 25.0
        p = p * q + 1.0 / 23.0
        p = p * q + 1.0 / 21.0
        p = p * q + 1.0 / 19.0
        p = p * q + 1.0 / 17.0
        p = p * q + 1.0 / 15.0
        p = p * q + 1.0 / 13.0
        p = p * q + 1.0 / 11.0
        p = p * q + 1.0 / 9.0
        p = p * q + 1.0 / 7.0
        p = p * q + 1.0 / 5.0
        p = p * q + 1.0 / 3.0
        p = p * q + 1.0
        total += weight[i] * (max(z[i], 0.0) - y[i] * z[i] + 2.0 * s * p)
    return total


@reordered
def _poisson(z: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
    total = pearson = 0.0
    for i in range(len(z)):
        e = exp_below(-abs(z[i]))
        mean = 1.0 / e if z[i] > 0.0 else e
        total += weight[i] * (mean - y[i] * z[i])
        pearson += weight[i] * (y[i] - mean) * (y[i] - mean) / mean
    return total, pearson


@reordered
def _dot(a: FloatArray, b: FloatArray) -> float:
    # BLAS would use threads here, which wait for each other where cores are busy.
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@reordered
def _moments(weight: FloatArray, y: FloatArray) -> tuple[float, float, float, float, float]:
    """Return the sums of weights, of their squares and of labels, and the range of the weights."""
    total = squares = labels = 0.0
    least = most = weight[0]
    for i in range(len(y)):
        w = weight[i]
        total += w
        squares += w * w
        labels += w * y[i]
        least, most = min(least, w), max(most, w)
    return total, squares, labels, least, most


@reordered
def _of_small_counts(
    y: FloatArray, weight: FloatArray, least: FloatArray, own: FloatArray
) -> tuple[bool, float, float]:
    """Return whether all labels are places of the tables, and the weighted sums of both."""
    first = second = 0.0
    for i in range(len(y)):
        at = np.uint64(y[i]) if 0.0 <= y[i] < len(least) else np.uint64(0)
        if np.float64(at) != y[i]:
            return False, 0.0, 0.0
        first += weight[i] * least[at]
        second += weight[i] * own[at]
    return True, first, second


def _of_offsets(
    loss: Loss, y: FloatArray, weight: FloatArray, offset: FloatArray
) -> tuple[float, float, float]:
    p = mean_power(loss)
    if p is None:
        return 0.0, 0.0, _dot(weight, np.abs(offset))
    scaled, rate = np.exp((1 - p) * offset), np.exp((2 - p) * offset)
    shift = {1.0: weight * y, 2.0: weight}.get(p)
    by_offset = 0.0 if shift is None else _dot(shift, offset)
    return _dot(weight * y, scaled), _dot(weight, rate), by_offset


def mean_power(loss: Loss) -> float | None:
    """Return p where the variance is the mean to the power p and the link is the logarithm."""
    return loss.shape if loss.name == "tweedie" else VARIANCE_POWERS.get(loss.name)


def _terms(loss: Loss, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Return the sums LEAST and OWN of labels."""
    match loss.name:
        case "poisson":
            # Counts are small mostly; a table takes a tenth of the time.
            known, least, own = _of_small_counts(y, weight, _LEAST_OF_COUNTS, _LOG_FACTORIALS)
            if known:
                return least, -own
            return _dot(weight, y - xlogy(y, y)), -_dot(weight, gammaln(y + 1))
        case "gamma":
            logs = np.log(y)
            return _dot(weight, 1 + logs), -float(logs.sum())
        case "inverse_gaussian":
            return -_dot(weight, 0.5 / y), -1.5 * float(np.log(y).sum())
        case "tweedie":
            p = loss.shape
            return -_dot(weight, y ** (2 - p)) / ((1 - p) * (2 - p)), 0.0
        case "negative_binomial":
            alpha = loss.shape
            least = (y + 1 / alpha) * np.log1p(alpha * y) - xlogy(y, y)
            own = gammaln(y + 1 / alpha) - gammaln(1 / alpha) - gammaln(y + 1)
            return _dot(weight, least), _dot(weight, own + y * math.log(alpha))
        case _:
            return 0.0, 0.0
