"""Estimates of linear combinations of weights, with their errors, p-values and intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from onepass.actions.inference.margin import Margin
from onepass.block import FloatArray
from onepass.model.covariance import below, quantile


@dataclass(frozen=True, slots=True)
class Estimate:
    """A combination of weights, and what is known of its error."""

    value: float
    std_error: float | None = None
    """By the errors that were asked for; the others are by the model and by the scores."""
    model_error: float | None = None
    robust_error: float | None = None
    z: float | None = None
    p_value: float | None = None
    low: float | None = None
    high: float | None = None


def estimates(
    margin: Margin, rows: csr_array, level: float, *, intercept: bool = False
) -> list[Estimate]:
    """Return the combinations of weights that the rows of a matrix name.

    Parameters
    ----------
    rows
        Shape (n_combinations, n_dense + 1).
    level
        Coverage of the intervals, such as 0.95.
    intercept
        Whether the last row is the intercept. A feature that never varied adds nothing to its
        error; any other combination with such a feature has no error.
    """
    values = rows @ margin.dense
    lost = np.asarray((abs(rows) @ margin.unknown.astype(np.float64)) > 0)
    if intercept:
        lost[-1] = margin.covariance is None
    by_model, robust = (_errors(rows, one, lost) for one in (margin.by_model, margin.robust))
    errors = by_model if margin.covariance is margin.by_model else robust
    reach = quantile(0.5 + level / 2, margin.freedom)
    return [
        _estimate(float(value), _known(error), _known(first), _known(second), reach, margin.freedom)
        for value, error, first, second in zip(values, errors, by_model, robust, strict=True)
    ]


def _errors(rows: csr_array, covariance: FloatArray | None, lost: FloatArray) -> FloatArray:
    if covariance is None:
        return np.full(rows.shape[0], np.nan)
    known = np.where(np.isnan(covariance), 0.0, covariance)
    variance = np.asarray((rows * (rows @ known)).sum(axis=1)).ravel()
    return np.where(lost, np.nan, np.sqrt(np.maximum(variance, 0.0)))


def _known(error: float) -> float | None:
    return float(error) if error > 0 and math.isfinite(error) else None


def _estimate(
    value: float,
    error: float | None,
    by_model: float | None,
    robust: float | None,
    reach: float,
    freedom: float,
) -> Estimate:
    if error is None:
        return Estimate(value, None, by_model, robust)
    z, half = value / error, reach * error
    p_value = 2 * below(-abs(z), freedom)
    return Estimate(value, error, by_model, robust, z, p_value, value - half, value + half)
