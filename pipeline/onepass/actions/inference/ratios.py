"""Ratios: the exponential of a coefficient, where the link of the loss gives it a meaning."""

from __future__ import annotations

import math

from onepass.errors import JobError

_NAMES = {
    "logistic": "odds ratio",
    "poisson": "rate ratio",
    "negative_binomial": "rate ratio",
    "gamma": "ratio of means",
    "tweedie": "ratio of means",
    "inverse_gaussian": "ratio of means",
    "cloglog": "hazard ratio",
}


def ratio_name(loss: str, base: str | None = None) -> str | None:
    """Return what the exponential of a coefficient is called; None if it has no name.

    Parameters
    ----------
    base
        Class with which the classes of softmax are compared; their mean by default.
    """
    if loss == "softmax":
        return "ratio to the mean class" if base is None else f"odds ratio to {base}"
    return _NAMES.get(loss)


def named_ratio(loss: str) -> None:
    """Check that the coefficients of a loss have ratios.

    Raises
    ------
    JobError
        If they have none.
    """
    if ratio_name(loss) is None:
        raise JobError(
            f"--ratios: the exponential of a coefficient of {loss} loss is no ratio; expected "
            "logistic, softmax, cloglog, or a loss of counts or amounts, such as poisson and gamma"
        )


def ratio(value: float | None) -> float | None:
    """Return the exponential of a coefficient; None where it is unknown or overflows."""
    return None if value is None or value > 700 else math.exp(value)
