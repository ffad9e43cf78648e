"""The likelihood of rows, from sums over them: log likelihood, deviance, information criteria."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from onepass.block import FloatArray
from onepass.learn.label_sums import (
    LABEL,
    LEAST,
    LOG_WEIGHT,
    N_ROWS,
    N_SUMS,
    OWN,
    RATE,
    SCALED,
    SHIFT,
    SQUARE_WEIGHT,
    mean_power,
)
from onepass.learn.losses import PROBABILITY, Loss
from onepass.special import entr, gammaln

_OF_DISPERSION = frozenset({"gamma", "inverse_gaussian", "tweedie"})
"""Losses beside squared whose dispersion is unknown."""


@dataclass(frozen=True, slots=True)
class FitStatistics:
    """Statistics of a fit, in the label's unit; None where they are not known.

    Where rows have weights, a row of weight w has the variance of a mean of w rows. Conventions are
    those of statsmodels.
    """

    log_likelihood: float | None
    """Log likelihood of the rows, the terms in the label alone included."""
    deviance: float | None
    """Twice the log likelihood of a saturated model less that of this one; for squared loss the sum
    of squared residuals."""
    null_deviance: float | None
    """Deviance of a model of an intercept alone."""
    dispersion: float | None
    """Pearson's chi-squared over the degrees of freedom; for squared loss the residual variance.
    1 for classes."""
    n_parameters: float | None
    """Number of weights that the rows determine; a penalised weight counts as a part of
    one, and an estimated overdispersion as one."""
    n_rows: float
    """Number of rows; rows that have faded count less."""
    aic: float | None = field(init=False, default=None)
    """Akaike's information criterion (H. Akaike, 1974)."""
    bic: float | None = field(init=False, default=None)
    """Bayesian information criterion (G. Schwarz, 1978)."""

    def __post_init__(self) -> None:
        if self.log_likelihood is None or self.n_parameters is None or self.n_rows <= 0:
            return
        fit = -2 * self.log_likelihood
        object.__setattr__(self, "aic", fit + 2 * self.n_parameters)
        object.__setattr__(self, "bic", fit + math.log(self.n_rows) * self.n_parameters)

    def of_dispersion(self) -> FitStatistics:
        """Return the dispersion alone."""
        return FitStatistics(None, None, None, self.dispersion, None, self.n_rows)

    def with_shape(self) -> FitStatistics:
        """Return the statistics of a fit that has estimated a parameter of the loss as well."""
        if self.n_parameters is None:
            return self
        return replace(self, n_parameters=self.n_parameters + 1)

    def in_unit(self, scale: float) -> FitStatistics:
        """Return the statistics for labels that are `scale` times as large, of squared loss."""
        if scale == 1.0:
            return self
        likelihood = self.log_likelihood
        if likelihood is not None:
            likelihood -= self.n_rows * math.log(scale)
        return replace(
            self,
            log_likelihood=likelihood,
            deviance=_times(self.deviance, scale**2),
            null_deviance=_times(self.null_deviance, scale**2),
            dispersion=_times(self.dispersion, scale**2),
        )


def statistics(
    loss: Loss,
    sums: FloatArray,
    value: float,
    *,
    weight: float,
    dispersion: float,
    n_rows: float,
    n_parameters: float,
) -> FitStatistics:
    """Return the statistics of a fit other than by squared loss.

    Parameters
    ----------
    sums
        As of `label_sums`, over all rows.
    value
        Loss at the weights of the model, summed over all rows.
    weight
        Sum of the weights of the rows.
    dispersion
        Pearson's chi-squared over the degrees of freedom.
    """
    least = float(sums[LEAST])
    nothing = _null(loss, sums, weight)
    likelihood = _log_likelihood(loss, sums, value, dispersion, weight)
    return FitStatistics(
        log_likelihood=likelihood,
        deviance=max(0.0, 2 * (value - least)),
        null_deviance=None if nothing is None else max(0.0, 2 * (nothing - least)),
        dispersion=dispersion,
        n_parameters=n_parameters,
        n_rows=n_rows,
    )


def statistics_of_squares(
    sums: FloatArray | None,
    squares: float,
    null_squares: float,
    *,
    dispersion: float,
    n_rows: float,
    n_parameters: float,
) -> FitStatistics:
    """Return the statistics of a fit by squared loss, the likelihood being the normal one.

    Parameters
    ----------
    sums
        As of `label_sums`, over all rows; None if they are not kept.
    squares, null_squares
        Weighted sum of squared residuals, of the model and of a model of an intercept alone.
    """
    likelihood = None
    if sums is not None and squares > 0:
        # A row of weight w has the variance of a mean of w rows, as in weighted least squares.
        likelihood = -0.5 * n_rows * (math.log(2 * math.pi * squares / n_rows) + 1)
        likelihood += 0.5 * float(sums[LOG_WEIGHT])
    return FitStatistics(
        log_likelihood=likelihood,
        deviance=squares,
        null_deviance=null_squares,
        dispersion=dispersion,
        n_parameters=n_parameters,
        n_rows=n_rows,
    )


def _times(x: float | None, factor: float) -> float | None:
    return None if x is None else x * factor


def _null(loss: Loss, sums: FloatArray, weight: float) -> float | None:
    """Return the loss of a model of an intercept alone; None if it has no closed form."""
    mean, p = float(sums[LABEL]) / weight, mean_power(loss)
    if p is None and sums[SHIFT]:
        return None
    if loss.name in PROBABILITY:
        return weight * float(entr(mean) + entr(1 - mean))
    if loss.n_classes:
        return weight * float(entr(sums[N_SUMS:] / weight).sum())
    if mean <= 0:
        return None
    if p is None:
        alpha = loss.shape
        return weight * ((mean + 1 / alpha) * math.log1p(alpha * mean) - mean * math.log(mean))
    scaled, rate, shift = (float(sums[place]) for place in (SCALED, RATE, SHIFT))
    a = math.log(scaled / rate)
    if p == 1:
        return rate * math.exp(a) - a * scaled - shift
    if p == 2:
        return scaled * math.exp(-a) + a * weight + shift
    return -scaled * math.exp((1 - p) * a) / (1 - p) + rate * math.exp((2 - p) * a) / (2 - p)


def _log_likelihood(
    loss: Loss, sums: FloatArray, value: float, dispersion: float, weight: float
) -> float | None:
    if loss.name not in _OF_DISPERSION:
        return float(sums[OWN]) - value
    # With a dispersion, the terms in the label alone depend on the weight of each row.
    n = float(sums[N_ROWS])
    is_even = n * float(sums[SQUARE_WEIGHT]) - weight**2 <= 1e-9 * weight**2
    if loss.name == "tweedie" or not is_even or dispersion <= 0:
        return None
    shape = weight / n / dispersion
    own, value, least = float(sums[OWN]), value * n / weight, float(sums[LEAST]) * n / weight
    if loss.name == "gamma":
        constant = shape * math.log(shape) - float(gammaln(shape))
        return n * constant - shape * (value + own) + own
    return own - shape * (value - least) + 0.5 * n * math.log(shape / (2 * math.pi))
