"""Curvature matrices of blocks of rows, and linear systems with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray, RealArray
from onepass.intrinsics import WIDE
from onepass.learn.kernels import add_gram, padded

_JITTER = 1e-12
"""Added to a unit diagonal before a system is solved; smaller eigenvalues count as 0."""

ALIASED = 1e-11
"""Eigenvalue of a curvature with unit diagonal that counts as 0 where weights are interpreted.

Features come in single precision. A feature that is the sum of others differs from it by rounding,
which leaves an eigenvalue of 1e-14 or so. Without the bound, weights would fit the rounding.
"""

_CHUNK_BYTES = 16 << 20
"""Size of the temporary matrix of `softmax_gram`."""

_WELL_CONDITIONED = 1e-3
"""Least eigenvalue of a well-conditioned curvature with unit diagonal.

Sums of products in single precision have a relative error of 1e-6 at most, far below it.
"""


def gram(x: RealArray, c: FloatArray) -> FloatArray:
    """Return X' diag(c) X for c >= 0, in double precision.

    Rows in single precision go through `add_gram`. For rows in double precision numpy multiplies a
    matrix by its own transpose, where BLAS computes one triangle only.
    """
    if x.dtype == np.float64:
        half = x if (c == 1).all() else x * np.sqrt(c)[:, None]
        return np.asarray(half.T @ half)
    width = x.shape[1]
    total = np.zeros((padded(width, WIDE), padded(width, WIDE)))
    add_gram(x, c, total)
    return symmetric(total, width)


def symmetric(total: FloatArray, width: int) -> FloatArray:
    """Return the first `width` rows and columns, mirrored from the lower triangle."""
    lower = np.tril(total[:width, :width])
    return np.asarray(lower + np.tril(lower, -1).T)


def is_well_conditioned(a: FloatArray, varies: NDArray[np.bool_]) -> bool:
    """Whether a curvature is far enough from singular to be summed in single precision.

    Parameters
    ----------
    varies
        Whether the feature of each weight has varied; the others are left out.
    """
    scale = np.sqrt(np.diag(a)[varies])
    if not len(scale) or not (scale > 0).all():
        return False
    scaled = a[np.ix_(varies, varies)] / np.outer(scale, scale)
    return bool(np.linalg.eigvalsh(scaled)[0] > _WELL_CONDITIONED)


def softmax_gram(x: RealArray, p: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the curvature of softmax loss with respect to the weights of all classes.

    The block of classes k and l is X' diag(weight * p_k * (1[k = l] - p_l)) X
    (D. Boehning, "Multinomial logistic regression algorithm", 1992, eq. 2.3).

    Parameters
    ----------
    x
        Shape (n_rows, width).
    p
        Probabilities, shape (n_rows, n_classes).

    Returns
    -------
    Shape (n_classes * width, n_classes * width), class by class.
    """
    n_rows, width = x.shape
    n_classes = p.shape[1]
    total = np.zeros((n_classes * width, n_classes * width))
    step = max(1, _CHUNK_BYTES // (8 * width * n_classes))
    for start in range(0, n_rows, step):
        rows = slice(start, start + step)
        spread = p[rows, :, None] * (x[rows] * np.sqrt(weight[rows])[:, None])[:, None, :]
        spread = spread.reshape(len(spread), -1)
        total -= spread.T @ spread
    for k in range(n_classes):
        place = slice(k * width, (k + 1) * width)
        total[place, place] += gram(x, weight * p[:, k])
    return total


class Curvature:
    """Eigendecomposition of a symmetric positive semi-definite matrix scaled to a unit diagonal.

    Parameters
    ----------
    least
        Largest eigenvalue that counts as 0.
    """

    def __init__(self, a: FloatArray, *, least: float = _JITTER) -> None:
        self._scale = np.sqrt(np.maximum(np.diag(a), _JITTER))
        values, vectors = np.linalg.eigh(a / np.outer(self._scale, self._scale))
        known = values > least
        self._values, self._vectors = values[known], vectors[:, known]

    @property
    def rank(self) -> int:
        """Number of eigenvalues that are not 0, rounding aside."""
        return len(self._values)

    def inverse(self) -> FloatArray:
        """Return the pseudo-inverse."""
        root = self._vectors / np.sqrt(self._values) / self._scale[:, None]
        return np.asarray(root @ root.T)

    def solve(self, b: FloatArray) -> FloatArray:
        """Return the pseudo-inverse times a vector, the shortest solution in scaled weights.

        It is exactly 0 where the diagonal is 0, as for a feature that never varied.
        """
        root = self._vectors / self._scale[:, None]
        root[self._scale <= np.sqrt(_JITTER)] = 0.0
        return np.asarray(root @ ((root.T @ b) / self._values))


def solve(a: FloatArray, b: FloatArray) -> FloatArray:
    """Solve ``a x = b`` for a symmetric positive semi-definite matrix.

    The matrix is scaled to a unit diagonal first.
    """
    scale = 1 / np.sqrt(np.maximum(np.diag(a), 1e-12))
    scaled = a * np.outer(scale, scale)
    scaled[np.diag_indices_from(scaled)] += _JITTER
    return np.asarray(scale * np.linalg.solve(scaled, scale * b))
