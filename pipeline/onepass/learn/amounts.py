"""Losses of counts and amounts with a logarithmic link, beside poisson and gamma.

Each is a negative log likelihood of an exponential family with mean ``exp(z)``, without terms that
depend on the label alone, times the dispersion (P. McCullagh, J. Nelder, "Generalized Linear
Models", 1989, sec. 2.2; B. Jorgensen, "The Theory of Dispersion Models", 1997, ch. 4, for tweedie).
The variance of the label is ``mean^p`` for tweedie, ``mean + a mean^2`` for negative binomial, and
``mean^3`` for inverse gaussian, each times the dispersion.
"""

from __future__ import annotations

import math

from onepass.jit import compiled


@compiled
def _pull(p: float, z: float, y: float) -> float:
    """Return ``y exp((1 - p) z)``, which is 0 for a label of 0 however small the mean is."""
    return y * math.exp((1.0 - p) * z) if y > 0.0 else 0.0


@compiled
def tweedie_value(p: float, z: float, y: float) -> float:
    """Return the loss of a power of the variance above 1 and below 2."""
    return _pull(p, z, y) / (p - 1.0) + math.exp((2.0 - p) * z) / (2.0 - p)


@compiled
def tweedie_gradient(p: float, z: float, y: float) -> float:
    """Return the first derivative."""
    return math.exp((2.0 - p) * z) - _pull(p, z, y)


@compiled
def tweedie_curvature(p: float, z: float, y: float) -> float:
    """Return the second derivative, which is positive."""
    return (2.0 - p) * math.exp((2.0 - p) * z) + (p - 1.0) * _pull(p, z, y)


@compiled
def negative_binomial_value(a: float, z: float, y: float) -> float:
    """Return ``(y + 1 / a) log(1 + a exp(z)) - y z``, for an overdispersion a above 0."""
    m = z + math.log(a)
    softplus = m + math.log1p(math.exp(-m)) if m > 0.0 else math.log1p(math.exp(m))
    return (y + 1.0 / a) * softplus - y * z


@compiled
def negative_binomial_gradient(a: float, z: float, y: float) -> float:
    """Return ``(exp(z) - y) / (1 + a exp(z))`` without overflow."""
    if z > 0.0:
        e = math.exp(-z)
        return (1.0 - y * e) / (e + a)
    e = math.exp(z)
    return (e - y) / (1.0 + a * e)


@compiled
def negative_binomial_curvature(a: float, z: float, y: float) -> float:
    """Return ``(1 + a y) exp(z) / (1 + a exp(z))^2`` without overflow."""
    if z > 0.0:
        e = math.exp(-z)
        return (1.0 + a * y) * e / ((e + a) * (e + a))
    e = math.exp(z)
    return (1.0 + a * y) * e / ((1.0 + a * e) * (1.0 + a * e))


@compiled
def negative_binomial_majoriser(a: float, z: float, y: float) -> float:
    """Return the curvature of a parabola above the loss, which is ``y + 1 / a`` logistic losses."""
    m = abs(z + math.log(a))
    return (y + 1.0 / a) * (0.25 if m < 1e-3 else math.tanh(0.5 * m) / (2.0 * m))


@compiled
def _inverse_mean(z: float) -> float:
    """Return exp(-z), whose square is finite for every margin."""
    return math.exp(-max(z, -350.0))


@compiled
def inverse_gaussian_value(z: float, y: float) -> float:
    """Return ``y exp(-2 z) / 2 - exp(-z)``."""
    e = _inverse_mean(z)
    return e * (0.5 * y * e - 1.0)


@compiled
def inverse_gaussian_gradient(z: float, y: float) -> float:
    """Return the first derivative."""
    e = _inverse_mean(z)
    return e * (1.0 - y * e)


@compiled
def inverse_gaussian_curvature(z: float, y: float) -> float:
    """Return the second derivative, which is negative for labels below half of the mean."""
    e = _inverse_mean(z)
    return e * (2.0 * y * e - 1.0)


@compiled
def inverse_gaussian_information(z: float) -> float:
    """Return the expected second derivative, which is positive.

    In place of the second derivative only where that is negative, it would make the sum too large,
    and standard errors too small.
    """
    return _inverse_mean(z)


@compiled
def inverse_gaussian_bound(z: float, y: float) -> float:
    """Return the larger one of the second derivative and the expected one.

    Far below the label, a step by the expected one alone would go many times too far.
    """
    e = _inverse_mean(z)
    return e * max(1.0, 2.0 * y * e - 1.0)
