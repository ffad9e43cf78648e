"""Remember rows that are fitted almost exactly by the curvature they have nearby.

Where classes can be told apart, most rows have hardly any curvature at their margins, although a
few units away they have plenty. An expansion with the curvature at the margin forgets such rows:
later blocks move the weights at no cost, until the forgotten rows are predicted wrongly. So the
quadratic model takes the mean of each row's curvature over the margins that the weights, as far as
they are known, allow.

The minimum of such a block is met closely, too. All rows together have a loss of a few units, so
what is far too little to matter elsewhere is a large share of it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from onepass.block import FloatArray
from onepass.learn.curvature import Curvature, gram, softmax_gram
from onepass.learn.losses import Loss
from onepass.learn.newton.expansion import Expansion, Rows
from onepass.learn.newton.uncertainty import variance_of_margins
from onepass.learn.pointwise import LOGISTIC, SOFTMAX

Saturated = Literal["fitted", "expected", "settled"]
"""How newton learns saturated rows; `ModelFile.saturated` describes each way."""

_SATURATED = 0.1
"""Mean information of a row, as a share of that of a constant's row, from which on classes count as
nearly separable. Lakes above it are learnt as they would be without this module."""

_ROUNDS = 2
"""How often the mean curvature and the variance of the margins are computed from each other.

After one round the variance is that without the mean curvature, and too large: the loss of
separable classes ended twice as high.
"""


def base_information(loss: Loss, base: float | FloatArray) -> float:
    """Return the sum over classes of p (1 - p) at the margins to start from.

    It is 0 for losses whose rows do not saturate on both sides.
    """
    if loss.code == LOGISTIC:
        rare = math.exp(-abs(float(base)))
        return rare / (1 + rare) ** 2
    if loss.code == SOFTMAX:
        p = np.exp(np.broadcast_to(base - np.max(base), (loss.n_outputs,)))
        p = p / p.sum()
        return float((p * (1 - p)).sum())
    return 0.0


def is_saturated(
    before: FloatArray, more: FloatArray, weight: float, base: float, n_outputs: int
) -> bool:
    """Return whether rows hold little of the information that those of a constant have.

    Parameters
    ----------
    before, more
        Curvatures of two parts of the rows by all weights, intercepts last in each output.
    weight
        Sum of the weights of the rows.
    base
        See `base_information`.
    """
    width = len(before) // n_outputs
    of_intercepts = slice(width - 1, None, width)
    information = np.diag(before)[of_intercepts].sum() + np.diag(more)[of_intercepts].sum()
    return bool(information < _SATURATED * base * weight)


def expected(
    loss: Loss, rows: Rows, z: FloatArray, found: Expansion, known: FloatArray
) -> Expansion:
    """Return an expansion with the mean curvature of rows over what is not known of their margins.

    With a margin of normal distribution, the mean of a sigmoid is the sigmoid of k z, nearly, where
    ``k = 1 / sqrt(1 + pi s^2 / 8)`` and s^2 is the variance (D. MacKay, "The evidence framework
    applied to classification networks", 1992, sec. 4). Its derivative is the mean curvature. Where
    the weights are known, k is 1, and the expansion is the one given.

    Parameters
    ----------
    z
        Margins of the rows, shape (n_rows, n_outputs).
    found
        Expansion around these margins.
    known
        Curvature of the rows before, and of the penalty.
    """
    mean = found
    for _ in range(_ROUNDS):
        covariance = Curvature(known + mean.curvature).inverse()
        variance = variance_of_margins(
            covariance, rows.x, z.shape[1], of_classes=loss.code == SOFTMAX
        )
        k = 1 / np.sqrt(1 + np.pi / 8 * np.maximum(variance, 0.0).max(axis=1))
        mean = replace(found, curvature=_curvature_at(loss, rows, k[:, None] * z, k * rows.weight))
    return mean


def _curvature_at(loss: Loss, rows: Rows, z: FloatArray, weight: FloatArray) -> FloatArray:
    if loss.code == SOFTMAX:
        return softmax_gram(rows.x, loss.expand_softmax(z, rows.y, weight)[2], weight)
    return gram(rows.x, loss.derivatives(z[:, 0].copy(), rows.y, weight)[1])
