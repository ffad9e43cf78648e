"""Wald tests of whole columns: whether all features of a column together have no effect.

The statistic is b' V^-1 b for weights b of covariance V. It follows a chi-squared distribution, or,
divided by its degrees of freedom, F where the dispersion is estimated from residuals (A. Wald,
Transactions of the AMS 54, 1943; J. Wooldridge, "Econometric Analysis", 2010, sec. 4.2.3). It does
not depend on the reference level of a category, nor on the units of a column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel
from scipy.special import chdtrc, fdtrc

from onepass.block import FloatArray, IntArray
from onepass.encode.schema import Schema
from onepass.learn.updater import Identified
from onepass.model.covariance import Errors, covariance_of, freedom_of

_NO_SPREAD = 1e-9
"""Share of the largest eigenvalue below which the rows leave a direction open."""


class ColumnTest(BaseModel):
    """Test that all features of a column have no effect."""

    column: str
    output: str | None
    """Quantile of the weights; None if there is one margin. Classes are tested together."""
    distribution: Literal["chi2", "F"]
    statistic: float
    df: int
    """Number of effects that are tested: features times classes, without those that the rows leave
    open."""
    df_residual: float | None
    """Degrees of freedom of the residuals; None for chi2."""
    p_value: float


def column_tests(
    schema: Schema,
    heads: Sequence[tuple[str | None, Identified]],
    errors: Errors | None,
    *,
    is_squared: bool,
) -> Iterator[ColumnTest]:
    """Yield the test of each column with dense features, in the order of the schema.

    Parameters
    ----------
    heads
        Name of each quantile, and what is known of its weights.
    """
    for name, known in heads:
        freedom = freedom_of(known, errors, is_squared=is_squared)
        covariance, first = covariance_of(known, errors), 0
        for column in schema.columns:
            width = len(column.feature_names())
            found = _statistic(known.weights, covariance, np.arange(first, first + width))
            first += width
            if found is None:
                continue
            statistic, df = found
            is_f = not math.isinf(freedom)
            yield ColumnTest(
                column=column.name,
                output=name,
                distribution="F" if is_f else "chi2",
                statistic=statistic / df if is_f else statistic,
                df=df,
                df_residual=freedom if is_f else None,
                p_value=float(
                    fdtrc(df, freedom, statistic / df) if is_f else chdtrc(df, statistic)
                ),
            )


def _statistic(
    weights: FloatArray, covariance: FloatArray, features: IntArray
) -> tuple[float, int] | None:
    """Return the statistic of some features of all margins, and its degrees of freedom."""
    n_outputs, width = weights.shape
    places = (np.arange(n_outputs)[:, None] * width + features).ravel()
    variance = np.diag(covariance)[places]
    with np.errstate(invalid="ignore"):
        places = places[variance > 0]
    if not len(places):
        return None
    own = covariance[np.ix_(places, places)]
    scale = np.sqrt(np.diag(own))
    values, vectors = np.linalg.eigh(own / np.outer(scale, scale))
    known = values > _NO_SPREAD * values[-1]
    along = vectors[:, known].T @ (weights.ravel()[places] / scale)
    return float(np.sum(np.square(along) / values[known])), int(known.sum())
