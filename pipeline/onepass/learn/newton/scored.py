"""Rows with the derivatives of their losses at given weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray, RealArray
from onepass.jit import reordered
from onepass.learn.losses import Loss
from onepass.learn.newton.expansion import Rows, kink_width
from onepass.learn.pointwise import SOFTMAX

_PIECE_BYTES = 16 << 20
"""Size of the scores of a piece of rows."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Features of rows, and derivatives of their losses with respect to the margins."""

    x: RealArray
    """Standardised features with a last column of ones, shape (n_rows, width)."""
    g: FloatArray
    """First derivatives, shape (n_rows, n_outputs)."""
    c: FloatArray
    """Second derivatives, shape (n_rows, n_outputs, n_outputs)."""
    point: FloatArray
    """All dense weights, flat, at which the derivatives are taken."""
    margins: FloatArray
    """Margins by these weights, shape (n_rows, n_outputs)."""

    def pieces(self) -> Iterator[FloatArray]:
        """Yield the scores of consecutive rows, shape (n, n_outputs * width)."""
        n_weights = self.g.shape[1] * self.x.shape[1]
        step = max(1, _PIECE_BYTES // (8 * n_weights))
        for start in range(0, len(self.x), step):
            own = slice(start, start + step)
            scores = self.g[own, :, None] * self.x[own, None, :]
            yield scores.reshape(len(scores), n_weights)


def of_rows(scores: FloatArray) -> Scored:
    """Return rows of whose derivatives nothing but the scores is known, (n_rows, n_weights)."""
    none, ones = np.empty((0, 1, 1)), np.ones((len(scores), 1))
    return Scored(scores, ones, none, np.empty(0), np.empty((0, 1)))


def scored(loss: Loss, rows: Rows, w: FloatArray, *, curvature: bool) -> Scored:
    """Return rows with the derivatives of their losses at weights of shape (n_outputs, width).

    Parameters
    ----------
    curvature
        Whether second derivatives are needed; they are empty if not.
    """
    own, none = _margins(rows.x, w), np.empty((0, 1, 1))
    z = own + rows.offset
    if loss.code == SOFTMAX:
        _, g, p = loss.expand_softmax(z, rows.y, rows.weight)
        return Scored(rows.x, g, _of_classes(p, rows.weight) if curvature else none, w.ravel(), own)
    width = kink_width(loss, rows.y, z)
    g, c = loss.derivatives(np.ascontiguousarray(z[:, 0]), rows.y, rows.weight, width=width)
    return Scored(rows.x, g[:, None], c[:, None, None] if curvature else none, w.ravel(), own)


@reordered
def _margins(x: RealArray, w: FloatArray) -> FloatArray:
    z = np.zeros((len(x), len(w)))
    for i in range(len(x)):
        for k in range(len(w)):
            total = 0.0
            for j in range(x.shape[1]):
                total += x[i, j] * w[k, j]
            z[i, k] = total
    return z


def _of_classes(p: FloatArray, weight: FloatArray) -> FloatArray:
    c = -p[:, :, None] * p[:, None, :]
    places = np.arange(p.shape[1])
    c[:, places, places] += p
    return np.asarray(weight[:, None, None] * c)
