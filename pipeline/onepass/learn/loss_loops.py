"""Compiled loops over the margins of rows: losses, their derivatives, their predictions."""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray
from onepass.jit import compiled, reordered
from onepass.learn.binary_links import normal_distribution
from onepass.learn.pointwise import curvature, exp_below, gradient, majoriser, softmax, value


@compiled
def derive(
    loss: int,
    a: float,
    h: float,
    majorise: bool,
    z: FloatArray,
    y: FloatArray,
    weight: FloatArray,
    g: FloatArray,
    c: FloatArray,
) -> None:
    """Write first and second derivatives by the margins of rows, weighted."""
    for i in range(len(z)):
        g[i] = weight[i] * gradient(loss, a, h, z[i], y[i])
        if majorise:
            c[i] = weight[i] * majoriser(loss, a, h, z[i], y[i])
        else:
            c[i] = weight[i] * curvature(loss, a, h, z[i], y[i])


@reordered
def derive_logistic(
    z: FloatArray, y: FloatArray, weight: FloatArray, g: FloatArray, c: FloatArray
) -> None:
    """Write what `derive` writes for logistic loss, vectorised: no sum, so no order matters."""
    for i in range(len(z)):
        e = exp_below(-abs(z[i]))
        inverse = 1.0 / (1.0 + e)
        g[i] = weight[i] * ((1.0 if z[i] >= 0.0 else e) * inverse - y[i])
        c[i] = weight[i] * e * inverse * inverse


@compiled
def expand_softmax(
    z: FloatArray, y: FloatArray, weight: FloatArray, g: FloatArray, p: FloatArray
) -> float:
    """Write weighted gradients and the probabilities; return the weighted sum of the loss."""
    total = 0.0
    for i in range(len(z)):
        k = int(y[i])
        total += weight[i] * (softmax(z[i], p[i]) - z[i, k])
        for j in range(z.shape[1]):
            g[i, j] = weight[i] * p[i, j]
        g[i, k] -= weight[i]
    return total


@compiled
def total_loss(
    loss: int, a: float, h: float, z: FloatArray, y: FloatArray, weight: FloatArray
) -> float:
    """Return the weighted sum of the loss."""
    total = 0.0
    for i in range(len(z)):
        total += weight[i] * value(loss, a, h, z[i], y[i])
    return total


@reordered
def logistic_means(z: FloatArray) -> FloatArray:
    """Return the probabilities of margins of logistic loss."""
    p = np.empty(len(z))
    for i in range(len(z)):
        e = exp_below(-abs(z[i]))
        p[i] = (1.0 if z[i] >= 0.0 else e) / (1.0 + e)
    return p


@reordered
def probit_means(z: FloatArray) -> FloatArray:
    """Return the probabilities of margins of probit loss."""
    p = np.empty(len(z))
    for i in range(len(z)):
        p[i] = normal_distribution(z[i])
    return p
