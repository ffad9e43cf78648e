"""Evaluate splines in the basis of their heights at the knots.

The feature of a knot is the curve that is 1 at this knot and 0 at all others. These curves span the
natural cubic splines with these knots (Hastie, Tibshirani and Friedman, The Elements of Statistical
Learning, section 5.2.1). They add up to 1, so that of the first knot is left out: the intercept
has its part. Unlike truncated powers they are far from collinear, and a weight is the height of the
curve at a knot above that at the first. See Wood, Generalized Additive Models, section 5.3.1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from onepass.arrays import empty
from onepass.block import Float32Array, FloatArray
from onepass.encode.shapes import Spline
from onepass.jit import compiled

_LARGEST = np.finfo(np.float32).max

_TILE = 256
"""Rows that are worked on together, because the features of one row lie far apart."""


def heights(knots: list[float], degree: str, x: FloatArray) -> FloatArray:
    """Return the curve of each knot but the first, shape (n_knots - 1, n_rows); `x` is finite."""
    pieces = _pieces(tuple(knots), degree)
    out = np.empty((len(knots) - 1, len(x)))
    _evaluate(np.array(knots), pieces, np.asarray(x, np.float64), out)
    return out


def spline_features(column: Spline, x: FloatArray) -> Float32Array:
    """Return the centred and scaled features, shape (n_knots - 1, n_rows).

    All features of a row are 0 if `x` is not finite, or if one of them does not fit into float32.
    The last one is then NaN, which marks the row.
    """
    pieces = _pieces(tuple(column.knots), column.degree).copy()
    pieces[:, :, 0] -= np.array(column.center)
    pieces /= np.array(column.scale)[:, None]
    out = empty((len(column.knots) - 1, len(x)), np.float32)
    _evaluate(np.array(column.knots), pieces, x, out)
    return out


@lru_cache(maxsize=256)
def _pieces(knots: tuple[float, ...], degree: str) -> FloatArray:
    """Return polynomials, shape (n_knots + 1, n_knots - 1, 4): by piece, feature and power.

    Piece j ends at knot j; the first and the last piece have no end. The argument of a polynomial
    is the distance from the knot where its piece begins, in widths of the piece. The first piece
    is counted from the first knot, in widths of the second piece, and the last one likewise.
    """
    n = len(knots)
    x = np.array(knots) / max(abs(knots[0]), abs(knots[-1]))
    width = np.diff(x)
    at_knots = np.eye(n)
    bend = _bends(width) if degree == "cubic" else np.zeros((n, n))
    # On a piece: a + b t + c t^2 + d t^3 with t from 0 to 1, from heights and second derivatives.
    squared = width[:, None] ** 2
    a, c = at_knots[:-1], squared * bend[:-1] / 2
    d = squared * (bend[1:] - bend[:-1]) / 6
    b = at_knots[1:] - at_knots[:-1] - c - d
    inner = np.stack([a, b, c, d], axis=-1)
    before, after = np.zeros((1, n, 4)), np.zeros((1, n, 4))
    before[0, :, :2] = inner[0, :, :2]
    after[0, :, 0] = at_knots[-1]
    after[0, :, 1] = inner[-1, :, 1] + 2 * inner[-1, :, 2] + 3 * inner[-1, :, 3]
    return np.ascontiguousarray(np.concatenate([before, inner, after])[:, 1:])


def _bends(width: FloatArray) -> FloatArray:
    """Return the second derivative at each knot (rows) of the curve of each knot (columns)."""
    n = len(width) + 1
    left, right = width[:-1], width[1:]
    rows = np.arange(n - 2)
    system = np.diag((left + right) / 3)
    system[rows[1:], rows[:-1]] = left[1:] / 6
    system[rows[:-1], rows[1:]] = right[:-1] / 6
    slopes = np.zeros((n - 2, n))
    slopes[rows, rows] = 1 / left
    slopes[rows, rows + 1] = -1 / left - 1 / right
    slopes[rows, rows + 2] = 1 / right
    bends = np.zeros((n, n))
    bends[1:-1] = np.linalg.solve(system, slopes)
    return bends


@compiled
def _evaluate(
    knots: FloatArray, pieces: FloatArray, x: FloatArray, out: FloatArray | Float32Array
) -> None:
    n_knots, n_features = len(knots), len(out)
    piece, t = np.empty(_TILE, np.int64), np.empty(_TILE)
    fits = np.empty(_TILE, np.bool_)
    for start in range(0, len(x), _TILE):
        n = min(_TILE, len(x) - start)
        for i in range(n):
            v = x[start + i]
            own = 0
            for k in range(n_knots):
                own += v >= knots[k]
            begin = min(max(own - 1, 0), n_knots - 2)
            end = own == n_knots
            piece[i] = own
            t[i] = (v - knots[begin + end]) / (knots[begin + 1] - knots[begin])
            fits[i] = abs(t[i]) <= _LARGEST
        for f in range(n_features):
            for i in range(n):
                p = pieces[piece[i], f]
                # A term of no weight must not make NaN of an infinite power.
                is_inner = 0 < piece[i] < n_knots
                bent = t[i] * t[i] * (p[2] + t[i] * p[3]) if is_inner else 0.0
                value = p[0] + t[i] * p[1] + bent
                fits[i] &= abs(value) <= _LARGEST
                out[f, start + i] = value
        for i in range(n):
            if not fits[i]:
                out[:, start + i] = 0.0
                out[n_features - 1, start + i] = np.nan
