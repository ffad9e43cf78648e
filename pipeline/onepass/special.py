"""Special functions of scipy, which is imported when the first of them is called.

The import takes a quarter of a second and 40 MB, and most runs call none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def expit(x: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    from scipy.special import expit

    return expit(x)


def logsumexp(x: Any) -> Any:
    """Return log(sum(exp(x)))."""
    from scipy.special import logsumexp

    return logsumexp(x)


def gammaln(x: Any) -> Any:
    """Return the logarithm of the gamma function."""
    from scipy.special import gammaln

    return gammaln(x)


def xlogy(x: Any, y: Any) -> Any:
    """Return x log(y), which is 0 where x is 0."""
    from scipy.special import xlogy

    return xlogy(x, y)


def entr(p: Any) -> Any:
    """Return -p log(p), which is 0 where p is 0."""
    from scipy.special import entr

    return entr(p)


def ndtr(x: Any) -> Any:
    """Return the distribution function of the standard normal."""
    from scipy.special import ndtr

    return ndtr(x)


def ndtri(p: Any) -> Any:
    """Return the quantiles of the standard normal."""
    from scipy.special import ndtri

    return ndtri(p)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function is 0, between two numbers at which its signs differ."""
    from scipy.optimize import brentq

    return float(brentq(function, low, high))
