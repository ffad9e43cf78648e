"""The losses of one margin z and one label y, as compiled functions with derivatives.

Compiled code knows a loss by its code, one shape parameter ``a`` (the residual at which huber turns
linear, the quantile, the power of tweedie, or the overdispersion of negative binomial), and a width
``h`` over which the kink of hinge and quantile is rounded; ``h = 0`` is the loss itself.
Derivatives are with respect to the margin.

Labels of two classes are 0 and 1, those of softmax are 0 to n_classes - 1.
"""

from __future__ import annotations

import math

import numpy as np

from onepass.block import FloatArray
from onepass.jit import compiled, inlined_as_written
from onepass.learn.amounts import (
    inverse_gaussian_bound,
    inverse_gaussian_gradient,
    inverse_gaussian_information,
    inverse_gaussian_value,
    negative_binomial_curvature,
    negative_binomial_gradient,
    negative_binomial_majoriser,
    negative_binomial_value,
    tweedie_curvature,
    tweedie_gradient,
    tweedie_value,
)
from onepass.learn.binary_links import (
    cloglog_curvature,
    cloglog_gradient,
    cloglog_value,
    probit_curvature,
    probit_gradient,
    probit_value,
)

SQUARED = 0
LOGISTIC = 1
HUBER = 2
QUANTILE = 3
POISSON = 4
GAMMA = 5
HINGE = 6
SOFTMAX = 7
TWEEDIE = 8
NEGATIVE_BINOMIAL = 9
INVERSE_GAUSSIAN = 10
PROBIT = 11
CLOGLOG = 12
ORDINAL = 13


@inlined_as_written
def exp_below(x: float) -> float:
    """Return exp(x) for x <= 0, with an absolute or relative error of 2e-16.

    It consists of arithmetic only, so that a loop over it is vectorised. With x = n log 2 + r, the
    result is 2^n exp(r). Adding 1.5 * 2^52 to x / log 2 rounds it to the integer n. exp(r) is a
    Taylor polynomial for r within half of log 2 (W. Cody, W. Waite, 1980, sec. 6), and n is put
    into the exponent bits of a float64.
    """
    shifted = max(x, -700.0) * 1.4426950408889634 + 6755399441055744.0
    n = shifted - 6755399441055744.0
    r = max(x, -700.0) - n * 0.6931471803691238 - n * 1.9082149292705877e-10
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    power = np.int64((np.float64(shifted).view(np.int64) + np.int64(1023)) << np.int64(52))
    return float(p * power.view(np.float64))


@compiled
def sigmoid(z: float) -> float:
    """Return 1 / (1 + exp(-z)) without overflow."""
    # Every function here uses exp(-abs(z)), so that a loop over several of them computes it once.
    e = math.exp(-abs(z))
    return (1.0 if z >= 0 else e) / (1.0 + e)


@compiled
def _later_value(loss: int, a: float, z: float, y: float) -> float:
    if loss == TWEEDIE:
        return tweedie_value(a, z, y)
    if loss == NEGATIVE_BINOMIAL:
        return negative_binomial_value(a, z, y)
    if loss == INVERSE_GAUSSIAN:
        return inverse_gaussian_value(z, y)
    if loss == PROBIT:
        return probit_value(z, y)
    return cloglog_value(z, y)


@compiled
def value(loss: int, a: float, h: float, z: float, y: float) -> float:
    """Return the loss.

    Squared loss is half the squared error. Likelihoods are without terms that depend on y alone.
    """
    if loss == SQUARED:
        return 0.5 * (z - y) * (z - y)
    if loss == LOGISTIC:
        return max(z, 0.0) - y * z + math.log1p(math.exp(-abs(z)))
    if loss == HUBER:
        r = abs(z - y)
        return 0.5 * r * r if r <= a else a * (r - 0.5 * a)
    if loss == QUANTILE:
        r = y - z
        if abs(r) >= h:
            return a * r if r >= 0 else (a - 1.0) * r
        return (r * r + h * h) / (4.0 * h) + (a - 0.5) * r
    if loss == POISSON:
        return math.exp(z) - y * z
    if loss == GAMMA:
        return y * math.exp(-z) + z
    if loss >= TWEEDIE:
        return _later_value(loss, a, z, y)
    u = 1.0 - (2.0 * y - 1.0) * z
    if abs(u) >= h:
        return max(u, 0.0)
    return (u + h) * (u + h) / (4.0 * h)


@compiled
def _later_gradient(loss: int, a: float, z: float, y: float) -> float:
    if loss == TWEEDIE:
        return tweedie_gradient(a, z, y)
    if loss == NEGATIVE_BINOMIAL:
        return negative_binomial_gradient(a, z, y)
    if loss == INVERSE_GAUSSIAN:
        return inverse_gaussian_gradient(z, y)
    if loss == PROBIT:
        return probit_gradient(z, y)
    return cloglog_gradient(z, y)


@compiled
def gradient(loss: int, a: float, h: float, z: float, y: float) -> float:
    """Return the first derivative of `value`; at a kink the one from the side of loss."""
    if loss == SQUARED:
        return z - y
    if loss == LOGISTIC:
        return sigmoid(z) - y
    if loss == HUBER:
        return max(-a, min(a, z - y))
    if loss == QUANTILE:
        r = y - z
        if abs(r) >= h:
            return -a if r > 0 else (1.0 - a if r < 0 else 0.0)
        return -r / (2.0 * h) - (a - 0.5)
    if loss == POISSON:
        return math.exp(z) - y
    if loss == GAMMA:
        return 1.0 - y * math.exp(-z)
    if loss >= TWEEDIE:
        return _later_gradient(loss, a, z, y)
    side = 2.0 * y - 1.0
    u = 1.0 - side * z
    if abs(u) >= h:
        return -side if u > 0 else 0.0
    return -side * (u + h) / (2.0 * h)


@compiled
def _later_curvature(loss: int, a: float, z: float, y: float) -> float:
    if loss == TWEEDIE:
        return tweedie_curvature(a, z, y)
    if loss == NEGATIVE_BINOMIAL:
        return negative_binomial_curvature(a, z, y)
    if loss == INVERSE_GAUSSIAN:
        return inverse_gaussian_information(z)
    if loss == PROBIT:
        return probit_curvature(z, y)
    return cloglog_curvature(z, y)


@compiled
def curvature(loss: int, a: float, h: float, z: float, y: float) -> float:
    """Return the second derivative of `value`; 0 at a kink that is not rounded.

    For inverse gaussian, which is not convex, it is the expected one at the margin.
    """
    if loss == SQUARED:
        return 1.0
    if loss == LOGISTIC:
        e = math.exp(-abs(z))
        return e / (1.0 + e) ** 2
    if loss == HUBER:
        return 1.0 if abs(z - y) <= a else 0.0
    if loss == QUANTILE:
        return 0.5 / h if abs(y - z) < h else 0.0
    if loss == POISSON:
        return math.exp(z)
    if loss == GAMMA:
        return y * math.exp(-z)
    if loss >= TWEEDIE:
        return _later_curvature(loss, a, z, y)
    return 0.5 / h if abs(1.0 - (2.0 * y - 1.0) * z) < h else 0.0


@compiled
def majoriser(loss: int, a: float, h: float, z: float, y: float) -> float:
    """Return the curvature of a parabola that touches the loss at z and lies above it.

    It is positive everywhere. Such a parabola exists for losses of bounded curvature (D. Hunter, K.
    Lange, "A tutorial on MM algorithms", 2004, sec. 3; for logistic T. Jaakkola, M. Jordan, 2000,
    eq. 6); for the others the result is `curvature`, for inverse gaussian at least.
    """
    if loss == LOGISTIC:
        m = abs(z)
        return 0.25 if m < 1e-3 else math.tanh(0.5 * m) / (2.0 * m)
    if loss == HUBER:
        return min(1.0, a / max(abs(z - y), 1e-300))
    if loss == QUANTILE:
        return 0.5 / max(abs(y - z), h)
    if loss == HINGE:
        return 0.5 / max(abs(1.0 - (2.0 * y - 1.0) * z), h)
    if loss == NEGATIVE_BINOMIAL:
        return negative_binomial_majoriser(a, z, y)
    if loss == INVERSE_GAUSSIAN:
        return inverse_gaussian_bound(z, y)
    if loss == PROBIT:
        return 1.0
    return curvature(loss, a, h, z, y)


@compiled
def softmax(z: FloatArray, p: FloatArray) -> float:
    """Write the probabilities of margins z, shape (n_classes,); return log(sum(exp(z)))."""
    top = z[0]
    for k in range(1, len(z)):
        top = max(top, z[k])
    total = 0.0
    for k in range(len(z)):
        p[k] = math.exp(z[k] - top)
        total += p[k]
    for k in range(len(z)):
        p[k] /= total
    return float(top + math.log(total))
