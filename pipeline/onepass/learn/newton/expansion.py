"""Second-order expansions of a block's loss, with the kinks of hinge and quantile rounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray, RealArray
from onepass.learn.curvature import gram, softmax_gram
from onepass.learn.losses import HINGE, HUBER, SOFTMAX, Loss

FLOOR = 0.03
"""Share of the majorising curvature that is added where the loss may have none at all: a rare
feature whose rows all lie off the kink would be free to go anywhere."""

_HINGE_WIDTH = 0.1
_QUANTILE_WIDTH = 0.15


@dataclass(frozen=True, slots=True)
class Rows:
    """Standardised rows of one block with a column of ones behind, and what is fixed of them."""

    x: RealArray
    """In single precision where that is enough; see `Newton`."""
    y: FloatArray
    weight: FloatArray
    offset: FloatArray
    """Part of the margins that comes from elsewhere, shape (n_rows, n_outputs) or (n_rows, 1)."""

    def margins(self, w: FloatArray) -> FloatArray:
        """Margins by weights of shape (n_outputs, width)."""
        return np.asarray(self.x @ w.T.astype(self.x.dtype) + self.offset)

    def summed(self, g: FloatArray) -> FloatArray:
        """Sum of the rows, each times its number of `g`, shape (width,)."""
        return np.asarray(g.astype(self.x.dtype) @ self.x, np.float64)


@dataclass(frozen=True, slots=True)
class Expansion:
    """Loss of a block around a point: slope and curvature by the flattened weights."""

    slope: FloatArray
    curvature: FloatArray
    noise: float
    """Sum of the squared gradients by the margin; 0 where no dispersion is estimated from it."""
    bend: float
    """Sum of the second derivatives by the margin; 0 for softmax."""


def expand(loss: Loss, rows: Rows, z: FloatArray, width: float, majorise: bool) -> Expansion:
    """Expand the loss of a block around margins z, shape (n_rows, n_outputs).

    Parameters
    ----------
    width
        Over which a kink is rounded.
    majorise
        Whether the curvature is that of a parabola above the loss.
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
    """Curvatures c by margins z with a floor, where the loss has flat parts; see `FLOOR`."""
    if not (loss.is_kinked or loss.code == HUBER):
        return c
    return c + FLOOR * loss.derivatives(z, y, weight, width=width, majorise=True)[1]


def kink_width(loss: Loss, label: FloatArray, margins: FloatArray) -> float:
    """Width over which a kink is rounded on rows with these margins, (n_rows, n_outputs)."""
    if not loss.is_kinked or not len(label):
        return 0.0
    if loss.code == HINGE:
        return _HINGE_WIDTH
    low, first, third, high = np.quantile(label - margins[:, 0], [0.1, 0.25, 0.75, 0.9])
    # The middle half alone is no scale where most labels are the same.
    return _QUANTILE_WIDTH * float(max((third - first) / 1.35, 0.3 * (high - low) / 2.56, 1e-3))
