"""Second-order expansion of a block's loss around weights; kinks are rounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray, RealArray
from onepass.learn.curvature import gram, softmax_gram
from onepass.learn.losses import Loss
from onepass.learn.pointwise import HINGE, HUBER, SOFTMAX

FLOOR = 0.03
"""Share of the majorising curvature that is added for losses with flat or linear parts.

Without it, nothing would bound the weight of a rare feature whose rows all lie off the kink.
"""

_HINGE_WIDTH = 0.1
"""Width of the rounded kink of hinge loss, in units of the margin."""

_QUANTILE_WIDTH = 0.15
"""Width of the rounded kink of quantile loss, in standard deviations of the residuals."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Standardised rows of one block, with the parts of its loss that do not depend on weights."""

    x: RealArray
    """Standardised features with a last column of ones, shape (n_rows, width); in single precision
    where `Newton` finds that enough."""
    y: FloatArray
    weight: FloatArray
    offset: FloatArray
    """Part of the margins that comes from elsewhere, shape (n_rows, n_outputs) or (n_rows, 1)."""

    def margins(self, w: FloatArray) -> FloatArray:
        """Return the margins by weights of shape (n_outputs, width), shape (n_rows, n_outputs)."""
        return np.asarray(self.x @ w.T.astype(self.x.dtype) + self.offset)

    def summed(self, g: FloatArray) -> FloatArray:
        """Return the sum of the rows, each multiplied by its element of `g`, shape (width,)."""
        return np.asarray(g.astype(self.x.dtype) @ self.x, np.float64)


@dataclass(frozen=True, slots=True)
class Expansion:
    """Slope and curvature of a block's loss with respect to the flattened weights."""

    slope: FloatArray
    curvature: FloatArray
    noise: float
    """Sum of squared gradients with respect to the margin; 0 for losses of unit dispersion."""
    bend: float
    """Sum of second derivatives with respect to the margin; 0 for softmax."""
    value: float = 0.0
    """Loss; 0 where no sums of the likelihood are kept."""
    pearson: float = 0.0
    """Pearson's chi-squared, likewise."""


def expand(loss: Loss, rows: Rows, z: FloatArray, width: float, majorise: bool) -> Expansion:
    """Expand the loss of a block around margins z, shape (n_rows, n_outputs).

    Parameters
    ----------
    width
        Width over which a kink is rounded.
    majorise
        Whether to use the curvature of a parabola that lies above the loss.
    """
    x, y, weight = rows.x, rows.y, rows.weight
    if loss.code == SOFTMAX:
        _, g, p = loss.expand_softmax(z, y, weight)
        return Expansion((g.T @ x).ravel(), softmax_gram(x, p, weight), 0.0, 0.0)
    z = np.ascontiguousarray(z[:, 0])
    g, c = loss.derivatives(z, y, weight, width=width, majorise=majorise)
    bend = float(c.sum())
    if not majorise:
        c = floored(loss, c, z, y, weight, width)
    noise = 0.0
    if not loss.has_unit_dispersion:
        noise = float((g * g / np.maximum(weight, 1e-300)).sum())
    return Expansion(rows.summed(g), gram(x, c), noise, bend)


def floored(
    loss: Loss, c: FloatArray, z: FloatArray, y: FloatArray, weight: FloatArray, width: float
) -> FloatArray:
    """Return curvatures c at margins z, with `FLOOR` added for losses with flat or linear parts."""
    if not (loss.is_kinked or loss.code == HUBER):
        return c
    return c + FLOOR * loss.derivatives(z, y, weight, width=width, majorise=True)[1]


def kink_width(loss: Loss, label: FloatArray, margins: FloatArray) -> float:
    """Return the width over which to round a kink; 0 for losses without a kink.

    Parameters
    ----------
    margins
        Shape (n_rows, n_outputs).
    """
    if not loss.is_kinked or not len(label):
        return 0.0
    if loss.code == HINGE:
        return _HINGE_WIDTH
    low, first, third, high = np.quantile(label - margins[:, 0], [0.1, 0.25, 0.75, 0.9])
    # Both ranges over those of a standard normal. The middle half alone may have no width, where
    # most labels are the same.
    return _QUANTILE_WIDTH * float(max((third - first) / 1.35, 0.3 * (high - low) / 2.56, 1e-3))
