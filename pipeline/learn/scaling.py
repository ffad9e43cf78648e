"""Standardise features online and keep what was learnt consistent when the scale moves."""

from __future__ import annotations

import numpy as np

from pipeline.block import FloatArray


class Standardiser:
    """Running mean and variance of the features, and the map that is applied.

    The map is refreshed when the number of rows has doubled, so that it settles; in between it
    stays fixed. Moments merge by the pairwise update of Chan, Golub & LeVeque (1983, eq. 1.5).

    Parameters
    ----------
    n_features
        Number of features.
    """

    def __init__(self, n_features: int) -> None:
        self.n_rows = np.zeros((), np.int64)
        self.n_applied = np.zeros((), np.int64)
        self.mean = np.zeros(n_features)
        self.m2 = np.zeros(n_features)
        self.center = np.zeros(n_features)
        self.scale = np.ones(n_features)

    def add(self, x: FloatArray) -> None:
        """Take the rows of `x`, shape (n_rows, n_features), into the moments."""
        n = len(x)
        mean = x.mean(axis=0)
        m2 = np.square(x - mean).sum(axis=0)
        total = int(self.n_rows) + n
        delta = mean - self.mean
        self.m2 += m2 + delta**2 * (int(self.n_rows) * n / total)
        self.mean += delta * (n / total)
        self.n_rows[()] = total

    def is_due(self) -> bool:
        """Whether the rows have doubled since the map was last refreshed."""
        return int(self.n_rows) >= 2 * int(self.n_applied)

    def refresh(self) -> FloatArray:
        """Apply the current moments.

        Returns
        -------
        Matrix M of shape (n_features + 1, n_features + 1), intercept last, such that weights
        ``M @ w`` on the new features predict what ``w`` did on the old ones.
        """
        old_center, old_scale = self.center, self.scale
        deviation = np.sqrt(self.m2 / max(1, int(self.n_rows)))
        alive = deviation > 1e-7 * np.maximum(1.0, np.abs(self.mean))
        self.center = self.mean.copy()
        self.scale = np.where(alive, deviation, 1.0)
        self.n_applied[()] = self.n_rows
        n_features = len(self.mean)
        move = np.zeros((n_features + 1, n_features + 1))
        move[np.arange(n_features), np.arange(n_features)] = self.scale / old_scale
        move[-1, :-1] = (self.center - old_center) / old_scale
        move[-1, -1] = 1.0
        return move

    def apply(self, x: FloatArray) -> FloatArray:
        """Standardised features with a column of ones behind, shape (n_rows, n_features + 1)."""
        out = np.empty((len(x), x.shape[1] + 1))
        np.subtract(x, self.center, out=out[:, :-1])
        out[:, :-1] /= self.scale
        out[:, -1] = 1.0
        return out
