"""Standardise features online and keep what was learnt consistent when the scale moves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, RealArray
from onepass.learn.kernels import moments, shifted_sums, standardise


class Standardiser:
    """Running weighted mean and variance of the features, and the map that is applied.

    The map is refreshed when the number of rows has doubled, so that it settles; in between it
    stays fixed. Moments are worked out from sums about the mean so far (T. Chan, G. Golub, R.
    LeVeque, "Algorithms for computing the sample variance", 1983, sec. 3, shifted data).

    Parameters
    ----------
    n_features
        Number of features.
    """

    def __init__(self, n_features: int) -> None:
        self.n_rows = np.zeros((), np.int64)
        self.n_applied = np.zeros((), np.int64)
        self.weight = np.zeros(())
        self.mean = np.zeros(n_features)
        self.m2 = np.zeros(n_features)
        self.center = np.zeros(n_features)
        self.scale = np.ones(n_features)

    def add(self, x: Float32Array, weight: FloatArray) -> None:
        """Take the rows of `x`, shape (n_rows, n_features), into the moments.

        A row counts as often as its weight says; a row of weight 0 might as well not be there.
        """
        if self.weight == 0.0:
            self.weight[()] = moments(x, weight, self.mean, self.m2)
        else:
            first, second = np.zeros_like(self.mean), np.zeros_like(self.mean)
            total = shifted_sums(x, weight, self.mean, first, second)
            self._take(total, first, second)
        self.n_rows += np.count_nonzero(weight)

    def add_sums(self, n_rows: int, weight: float, first: FloatArray, second: FloatArray) -> None:
        """As `add`, with rows that have been summed: distances from `mean`, and their squares."""
        self._take(weight, first, second)
        self.n_rows += n_rows

    def _take(self, weight: float, first: FloatArray, second: FloatArray) -> None:
        self.weight += weight
        self.mean = self.mean + first / self.weight
        self.m2 = np.maximum(self.m2 + second - np.square(first) / self.weight, 0.0)

    def is_due(self, n_more: int = 0) -> bool:
        """Whether the rows, and `n_more` of them, have doubled since the last refresh."""
        return int(self.n_rows) + n_more >= 2 * int(self.n_applied)

    def varies(self) -> NDArray[np.bool_]:
        """Which features are not constant so far, rounding aside."""
        return np.asarray(self._deviation() > 1e-7 * np.abs(self.mean))

    def deviation(self) -> FloatArray:
        """Standard deviation of each feature so far; 1 where it is constant."""
        return np.where(self.varies(), self._deviation(), 1.0)

    def refresh(self) -> FloatArray:
        """Apply the current moments.

        Returns
        -------
        Matrix M of shape (n_features + 1, n_features + 1), intercept last, such that weights
        ``M @ w`` on the new features predict what ``w`` did on the old ones.
        """
        old_center, old_scale = self.center, self.scale
        self.center = self.mean.copy()
        self.scale = self.deviation()
        self.n_applied[()] = self.n_rows
        n_features = len(self.mean)
        move = np.zeros((n_features + 1, n_features + 1))
        move[np.arange(n_features), np.arange(n_features)] = self.scale / old_scale
        move[-1, :-1] = (self.center - old_center) / old_scale
        move[-1, -1] = 1.0
        return move

    def apply(self, x: Float32Array, *, single: bool = False) -> RealArray:
        """Standardised features with a column of ones behind, shape (n_rows, n_features + 1)."""
        out = np.empty((len(x), x.shape[1] + 1), np.float32 if single else np.float64)
        standardise(x, self.center, self.scale, out)
        return out

    def _deviation(self) -> FloatArray:
        weight = float(self.weight)
        return np.sqrt(self.m2 / weight) if weight else np.zeros_like(self.m2)
