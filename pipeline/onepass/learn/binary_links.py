"""Losses of two classes by other links than the logit: probit and complementary log-log.

The probability of the positive class is the standard normal distribution of the margin for probit,
and ``1 - exp(-exp(z))`` for cloglog, with which a margin is the log of a rate of events
(P. McCullagh, J. Nelder, "Generalized Linear Models", 1989, sec. 4.3). Both losses are convex.
"""

from __future__ import annotations

import math

from onepass.jit import compiled

_ROOT_HALF = 0.7071067811865476
_DENSITY = 0.3989422804014327
"""Standard normal density at 0."""
_LOG_DENSITY = -0.9189385332046727

_FAR = -8.0
"""Margin below which the continued fraction replaces the distribution."""


@compiled
def normal_distribution(z: float) -> float:
    """Return the standard normal distribution at z."""
    return 0.5 * math.erfc(-z * _ROOT_HALF)


@compiled
def _excess(x: float) -> float:
    """Return ``density(x) / (1 - distribution(x)) - x`` for x of at least 8.

    It is the continued fraction 1 / (x + 2 / (x + 3 / ...)) of P. Laplace; see M. Abramowitz,
    I. Stegun, 1964, eq. 26.2.14. With 24 terms its relative error is below 1e-15.
    """
    rest = x
    for k in range(24, 1, -1):
        rest = x + k / rest
    return 1.0 / rest


@compiled
def _ratio(m: float) -> float:
    """Return the density over the distribution at m, the inverse of Mills' ratio at -m."""
    if m < _FAR:
        return _excess(-m) - m
    return _DENSITY * math.exp(-0.5 * m * m) / normal_distribution(m)


@compiled
def probit_value(z: float, y: float) -> float:
    """Return the negative logarithm of the probability of the label."""
    m = z if y > 0.5 else -z
    if m < _FAR:
        return 0.5 * m * m - _LOG_DENSITY + math.log(_ratio(m))
    if m > 0.0:
        return -math.log1p(-0.5 * math.erfc(m * _ROOT_HALF))
    return -math.log(normal_distribution(m))


@compiled
def probit_gradient(z: float, y: float) -> float:
    """Return the first derivative."""
    return -_ratio(z) if y > 0.5 else _ratio(-z)


@compiled
def probit_curvature(z: float, y: float) -> float:
    """Return the second derivative, above 0 and below 1."""
    m = z if y > 0.5 else -z
    if m < _FAR:
        excess = _excess(-m)
        return (excess - m) * excess
    ratio = _ratio(m)
    return ratio * (ratio + m)


@compiled
def cloglog_value(z: float, y: float) -> float:
    """Return the negative logarithm of the probability of the label."""
    rate = math.exp(z)
    if y < 0.5:
        return rate
    if z < -700.0:
        return -z
    if rate > 1.0:
        return -math.log1p(-math.exp(-rate))
    return -math.log(-math.expm1(-rate))


@compiled
def cloglog_gradient(z: float, y: float) -> float:
    """Return the first derivative."""
    rate = math.exp(z)
    return rate if y < 0.5 else -_share(rate)


@compiled
def cloglog_curvature(z: float, y: float) -> float:
    """Return the second derivative, which is positive."""
    rate = math.exp(z)
    if y < 0.5:
        return rate
    share = _share(rate)
    if rate < 0.01:
        # The Taylor series, in place of a difference of numbers near 1.
        return share * rate * (0.5 + rate * (1.0 / 12.0 - rate * rate / 720.0))
    return share * (share + rate - 1.0)


@compiled
def _share(rate: float) -> float:
    """Return ``rate / (exp(rate) - 1)``."""
    if rate > 700.0:
        return 0.0
    return 1.0 if rate < 1e-300 else rate / math.expm1(rate)
