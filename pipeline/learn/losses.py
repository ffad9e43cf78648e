"""Losses of a margin z and a label y, compiled once and used by every learner.

A loss is known by its number in compiled code. Each has a value, two derivatives by the margin, and
the inverse link from margin to prediction. A logistic label is 0 or 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.block import FloatArray
from pipeline.compiled import compiled

SQUARED = 0
LOGISTIC = 1


@compiled
def sigmoid(z: float) -> float:
    """1 / (1 + exp(-z)) without overflow."""
    # The same exponential in every function here, so that a loop over all computes it once.
    e = math.exp(-abs(z))
    return (1.0 if z >= 0 else e) / (1.0 + e)


@compiled
def value(loss: int, z: float, y: float) -> float:
    """Half the squared error, or the negative log likelihood in nats."""
    if loss == SQUARED:
        return 0.5 * (z - y) * (z - y)
    return max(z, 0.0) - y * z + math.log1p(math.exp(-abs(z)))


@compiled
def gradient(loss: int, z: float, y: float) -> float:
    """First derivative of `value` with respect to z."""
    if loss == SQUARED:
        return z - y
    return sigmoid(z) - y


@compiled
def curvature(loss: int, z: float, y: float) -> float:
    """Second derivative of `value` with respect to z."""
    if loss == SQUARED:
        return 1.0
    e = math.exp(-abs(z))
    return e / (1.0 + e) ** 2


@compiled
def _expand(
    loss: int,
    z: FloatArray,
    y: FloatArray,
    weight: FloatArray,
    g: FloatArray,
    c: FloatArray,
) -> float:
    total = 0.0
    for i in range(len(z)):
        total += weight[i] * value(loss, z[i], y[i])
        g[i] = weight[i] * gradient(loss, z[i], y[i])
        c[i] = weight[i] * curvature(loss, z[i], y[i])
    return total


@compiled
def _total(loss: int, z: FloatArray, y: FloatArray, weight: FloatArray) -> float:
    total = 0.0
    for i in range(len(z)):
        total += weight[i] * value(loss, z[i], y[i])
    return total


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss by its name, over arrays of margins.

    Examples
    --------
    >>> logistic = LOSSES["logistic"]
    >>> round(logistic.total(np.zeros(1), np.ones(1), np.ones(1)), 4)
    0.6931
    """

    name: str
    code: int

    def expand(
        self, z: FloatArray, y: FloatArray, weight: FloatArray
    ) -> tuple[float, FloatArray, FloatArray]:
        """Weighted sum of the loss, and its derivatives by each margin, shape (n_rows,) each."""
        g, c = np.empty(len(z)), np.empty(len(z))
        return _expand(self.code, z, y, weight, g, c), g, c

    def total(self, z: FloatArray, y: FloatArray, weight: FloatArray) -> float:
        """Weighted sum of the loss."""
        return float(_total(self.code, z, y, weight))

    def mean(self, z: FloatArray) -> FloatArray:
        """The prediction that belongs to a margin: itself, or a probability."""
        if self.code == SQUARED:
            return z
        e = np.exp(-np.abs(z))
        return np.asarray(np.where(z >= 0, 1.0, e) / (1.0 + e))


LOSSES = {"squared": Loss("squared", SQUARED), "logistic": Loss("logistic", LOGISTIC)}
