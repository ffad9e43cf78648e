"""The start-up prior of newton: it bounds the first steps, and fades as rows arrive."""

from __future__ import annotations

import math

import numpy as np

from onepass.block import FloatArray
from onepass.learn.losses import PROBABILITY, Loss
from onepass.learn.pointwise import LOGISTIC
from onepass.learn.scaling import Standardiser


def information_at(loss: Loss, base: float | FloatArray) -> float:
    """Return 4 p (1 - p) for the share p of positives at the start; 1 for other losses."""
    if loss.code == LOGISTIC:
        rare = math.exp(-abs(float(base)))
        return 4 * rare / (1 + rare) ** 2
    if loss.name not in PROBABILITY:
        return 1.0
    share = float(loss.mean(np.array([float(base)]))[0])
    return max(4 * share * (1 - share), 1e-300)


def start_prior(
    unit: float,
    scaling: Standardiser,
    shape: tuple[int, ...],
    share: float,
    informative: float | None,
) -> float | FloatArray:
    """Return the coefficient of ``w^2 / 2`` in the start-up prior of the dense weights.

    Parameters
    ----------
    unit
        See `Loss.unit`.
    scaling
        Moments of the rows so far.
    shape
        Number of outputs, and of weights of each.
    share
        Share of the prior that is left, before its cube is taken.
    informative
        Information of a row, as `information_at` gives it; None for a prior that does not ask for
        it, as older models have.
    """
    # The cube matters: a prior that fades more slowly still costs a tenth of the log loss after
    # tens of thousands of rows if features are ill-conditioned and the weights are large.
    prior = share**3
    if informative is None:
        return unit * prior
    # With hardly more rows than weights, the prior gives the margins a variance of about 1. It
    # ends soon: with the cube it would still cost 0.3 % of the loss at 100 rows a weight, where
    # features are ill-conditioned. Rows of two classes tell little where one class is rare.
    n_outputs, width = shape
    rows = max(1, int(scaling.n_rows))
    prior += width * min(1.0, 4 * width / rows) ** 6
    prior += math.sqrt(width) * min(1.0, 4 * width / (rows * informative)) ** 6
    # A feature that has hardly varied, such as the time within the first day, lies many of its
    # deviations from 0, the center of the sample. By this prior the way to the center moves the
    # margin by about 1; otherwise one more day could move it by any amount. It fades slowly,
    # because it does nothing to a feature whose mean is within 0.3 deviations of the center.
    far = np.square(scaling.mean / scaling.scale)
    slow = min(1.0, 200 * n_outputs * width / rows) * np.maximum(far - 0.1, 0.0)
    return np.asarray(unit * (prior + slow))
