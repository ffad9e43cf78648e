"""Likelihood of tweedie labels, by which powers of the variance can be compared.

The deviance of one power is in another unit than that of the next. The density is comparable. For a
power p between 1 and 2 the label is a Poisson number of gamma amounts, whose density is a series
(P. Dunn, G. Smyth, "Series evaluation of Tweedie exponential dispersion model densities",
Statistics and Computing 15, 2005, sec. 3-4).

The dispersion is profiled out: the negative log likelihood is summed at each dispersion of a grid,
and the least of these sums counts.
"""

from __future__ import annotations

import math

import numpy as np

from onepass.block import FloatArray
from onepass.jit import compiled

N_DISPERSIONS = 21
"""Number of dispersions in a grid."""

_STEP = 0.5
"""log2 of the ratio of two neighbours. A parabola is then exact to a thousandth of a row's loss."""

_LARGEST = 2.0
"""log2 of the ratio of the largest dispersion to that of a constant prediction."""

_MANY = 200.0
"""Index of the largest term from which on the series is replaced by a saddlepoint approximation.

Its relative error is that of Stirling's formula for this index, below 1/2000.
"""

_NEGLIGIBLE = 37.0
"""Logarithm of the ratio of the largest term to one that no longer matters: 1e-16."""


@compiled
def _log_term(j: float, log_z: float, a: float) -> float:
    return j * log_z - math.lgamma(1.0 + j) - math.lgamma(a * j)


@compiled
def _log_series(log_z: float, a: float, top: float) -> float:
    """Return the logarithm of the sum over j >= 1 of ``z^j / (j! gamma(a j))``.

    Terms rise up to about the index `top`, and fall beyond it.
    """
    middle = max(1.0, math.floor(top + 0.5))
    most = _log_term(middle, log_z, a)
    total, j = 1.0, middle + 1.0
    while True:
        less = _log_term(j, log_z, a) - most
        total += math.exp(less)
        if less < -_NEGLIGIBLE:
            break
        j += 1.0
    j = middle - 1.0
    while j >= 1.0:
        less = _log_term(j, log_z, a) - most
        total += math.exp(less)
        if less < -_NEGLIGIBLE:
            break
        j -= 1.0
    return most + math.log(total)


@compiled
def log_density(p: float, dispersion: float, z: float, y: float) -> float:
    """Return the log density of a label, the log probability where it is 0.

    Parameters
    ----------
    p
        Power of the variance, above 1 and below 2.
    z
        Margin, the log of the mean.
    """
    mean_part = math.exp(min((2.0 - p) * z, 700.0)) / (2.0 - p)
    if y <= 0.0:
        return -mean_part / dispersion
    own = -(y * math.exp(min((1.0 - p) * z, 700.0)) / (p - 1.0) + mean_part) / dispersion
    log_y = math.log(y)
    top = math.exp((2.0 - p) * log_y) / ((2.0 - p) * dispersion)
    if top > _MANY:
        best = math.exp((2.0 - p) * log_y) / ((p - 1.0) * (2.0 - p))
        return own + best / dispersion - 0.5 * (math.log(2.0 * math.pi * dispersion) + p * log_y)
    a = (2.0 - p) / (p - 1.0)
    log_z = a * log_y - a * math.log(p - 1.0) - (1.0 + a) * math.log(dispersion) - math.log(2.0 - p)
    return own - log_y + _log_series(log_z, a, top)


@compiled
def _add(
    p: float,
    dispersions: FloatArray,
    z: FloatArray,
    y: FloatArray,
    weight: FloatArray,
    sums: FloatArray,
) -> None:
    for i in range(len(z)):
        if weight[i] > 0.0:
            for k in range(len(dispersions)):
                # A label of weight w is a mean of w labels, with the dispersion divided by w.
                sums[k] -= log_density(p, dispersions[k] / weight[i], z[i], y[i])


def negative_log_likelihoods(
    p: float, unit: float, z: FloatArray, y: FloatArray, weight: FloatArray
) -> FloatArray:
    """Return the negative log likelihood of rows at each dispersion of a grid.

    Parameters
    ----------
    p
        Power of the variance.
    unit
        Dispersion of a constant prediction, from which the grid follows.
    z
        Margins, shape (n_rows,).

    Returns
    -------
    Shape (N_DISPERSIONS,).
    """
    steps = _LARGEST - _STEP * np.arange(N_DISPERSIONS)[::-1]
    sums = np.zeros(N_DISPERSIONS)
    _add(p, np.asarray(unit * 2.0**steps, np.float64), z, y, weight, sums)
    return sums


def profiled(sums: FloatArray) -> FloatArray:
    """Return the least negative log likelihood over the dispersions.

    A parabola through the least sum and its neighbours gives the minimum between the dispersions.

    Parameters
    ----------
    sums
        Shape (..., N_DISPERSIONS).

    Returns
    -------
    Shape (...,).
    """
    at = np.clip(np.argmin(sums, axis=-1), 1, N_DISPERSIONS - 2)[..., None]
    low, middle, high = (np.take_along_axis(sums, at + k, -1)[..., 0] for k in (-1, 0, 1))
    bend, rise = low - 2 * middle + high, high - low
    gain = np.where(bend > 0, rise**2 / (8 * np.where(bend > 0, bend, 1.0)), 0.0)
    return np.asarray(np.minimum(np.minimum(low, high), middle - gain))
