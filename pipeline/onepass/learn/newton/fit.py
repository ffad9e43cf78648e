"""How well the weights of newton fit the rows, and factors for small samples."""

from __future__ import annotations

import math

import numpy as np

from onepass.block import FloatArray
from onepass.learn.label_sums import PEARSON
from onepass.learn.likelihood import FitStatistics, statistics, statistics_of_squares
from onepass.learn.losses import PROBABILITY, SEVERAL, Loss
from onepass.learn.newton.past import Past
from onepass.learn.pointwise import SQUARED


def n_determined(inverse: FloatArray, h: FloatArray, *, is_penalised: bool) -> float:
    """Return the number of weights that the rows determine.

    With a ridge penalty it is the trace of ``(H + P)^-1 H`` (T. Hastie, R. Tibshirani, J. Friedman,
    "The Elements of Statistical Learning", 2009, eq. 3.50).

    Parameters
    ----------
    inverse
        Inverse of the curvature of the rows with the penalty.
    h
        Curvature of the rows.
    """
    trace = float(np.einsum("ij,ji->", inverse, h))
    return trace if is_penalised else float(round(trace))


def small_sample(
    n_clusters: int | None, n_rows: float, n_parameters: float, repeats: float
) -> float:
    """Return the factor of robust covariance for small samples.

    HC1 for rows (J. MacKinnon, H. White, Journal of Econometrics 29, 1985); for clusters the one of
    statsmodels, and of Stata's `regress`. NaN for a single cluster, whose scores sum to 0. Rows
    that are learnt several times give as many times the products of their scores, and the square of
    it times those of their cluster; the curvature takes the square out.
    """
    freedom = max(1.0, n_rows - n_parameters)
    if n_clusters is None:
        return repeats * n_rows / freedom
    if n_clusters < 2:
        return math.nan
    return n_clusters / (n_clusters - 1) * max(0.0, n_rows - 1) / freedom


def fit_of(
    loss: Loss, past: Past, w: FloatArray, repeats: float, *, n_rows: float, n_parameters: float
) -> FitStatistics:
    """Return how well weights of shape (n_outputs, width) fit the rows; what is unknown is None."""
    sums, point, weight = past.likelihood / repeats, w.ravel(), float(past.weight)
    freedom = max(1.0, n_rows - n_parameters)
    if loss.code == SQUARED:
        square, level = float(past.label_square), float(past.b[-1])
        squares = max(0.0, square - float(2 * past.b @ point - point @ past.h @ point))
        nothing = max(0.0, square - level**2 / max(weight, 1e-300))
        return statistics_of_squares(
            sums if len(sums) else None,
            squares / repeats,
            nothing / repeats,
            dispersion=squares / repeats / freedom,
            n_rows=n_rows,
            n_parameters=n_parameters,
        )
    if not len(sums):
        return FitStatistics(None, None, None, None, n_parameters, n_rows)
    has_dispersion = loss.name not in PROBABILITY | SEVERAL
    return statistics(
        loss,
        sums,
        past.value(point) / repeats,
        weight=weight / repeats,
        dispersion=float(sums[PEARSON]) / freedom if has_dispersion else 1.0,
        n_rows=n_rows,
        n_parameters=n_parameters,
    )
