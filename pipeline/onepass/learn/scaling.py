"""Standardise features online, and keep weights consistent when the scale changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, RealArray
from onepass.learn.kernels import moments, shifted_sums, standardise


class Standardiser:
    """Running weighted mean and variance of each feature, and the map that is in use.

    The map ``(x - center) / scale`` stays fixed between refreshes. A refresh is due when the number
    of rows has doubled, so refreshes become rare and the map settles. Moments are computed from
    sums about the mean so far (T. Chan, G. Golub, R. LeVeque, "Algorithms for computing the sample
    variance", 1983, sec. 3, shifted data).

    Parameters
    ----------
    n_features
        Number of features.
    """

    def __init__(self, n_features: int) -> None:
        self.n_rows = np.zeros((), np.int64)
        """Rows of positive weight so far."""
        self.n_applied = np.zeros((), np.int64)
        """`n_rows` at the last refresh."""
        self.weight = np.zeros(())
        """Sum of the weights of the rows."""
        self.mean = np.zeros(n_features)
        self.m2 = np.zeros(n_features)
        """Weighted sum of squares about the mean."""
        self.center = np.zeros(n_features)
        self.scale = np.ones(n_features)
        self.is_held = False
        """Whether the map is held, because other learners share it; see `Learns.hold`."""

    @staticmethod
    def nbytes(n_features: int) -> int:
        """Return the bytes of `arrays`."""
        return 3 * 8 + 4 * 8 * n_features

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change, by name, without copying them."""
        names = ("n_rows", "n_applied", "weight", "mean", "m2", "center", "scale")
        return {name: getattr(self, name) for name in names}

    def add(self, x: Float32Array, weight: FloatArray) -> None:
        """Add rows to the moments.

        A row counts as often as its weight says. A row of weight 0 changes nothing.

        Parameters
        ----------
        x
            Shape (n_rows, n_features).
        weight
            Shape (n_rows,).
        """
        if self.weight == 0.0:
            self.weight[()] = moments(x, weight, self.mean, self.m2)
        else:
            first, second = np.zeros_like(self.mean), np.zeros_like(self.mean)
            total = shifted_sums(x, weight, self.mean, first, second)
            self._take(total, first, second)
        self.n_rows += np.count_nonzero(weight)

    def add_sums(self, n_rows: int, weight: float, first: FloatArray, second: FloatArray) -> None:
        """Add rows to the moments that are summed already.

        Parameters
        ----------
        n_rows
            Number of rows of positive weight.
        weight
            Sum of their weights.
        first, second
            Weighted sums of each feature's distance from `mean`, and of its square.
        """
        self._take(weight, first, second)
        self.n_rows += n_rows

    def _take(self, weight: float, first: FloatArray, second: FloatArray) -> None:
        self.weight += weight
        self.mean = self.mean + first / self.weight
        self.m2 = np.maximum(self.m2 + second - np.square(first) / self.weight, 0.0)

    def is_due(self, n_more: int = 0) -> bool:
        """Return whether the rows, with `n_more` to come, have doubled since the last refresh.

        A map that is held is never due.
        """
        return not self.is_held and int(self.n_rows) + n_more >= 2 * int(self.n_applied)

    def varies(self) -> NDArray[np.bool_]:
        """Return whether each feature has varied by more than rounding, shape (n_features,)."""
        return np.asarray(self._deviation() > 1e-7 * np.abs(self.mean))

    def deviation(self) -> FloatArray:
        """Return the standard deviation of each feature so far; 1 where it is constant."""
        return np.where(self.varies(), self._deviation(), 1.0)

    def refresh(self) -> FloatArray:
        """Set center and scale to the current moments.

        Returns
        -------
        Matrix M of shape (n_features + 1, n_features + 1), intercept last. Weights ``M @ w`` on the
        new features give the margins that weights `w` gave on the old ones.
        """
        center, scale = self.mean.copy(), self.deviation()
        move = self.move_to(center, scale)
        self.center, self.scale = center, scale
        self.n_applied[()] = self.n_rows
        return move

    def move_to(self, center: FloatArray, scale: FloatArray) -> FloatArray:
        """Return the matrix M of `refresh` for another center and scale, without changing any."""
        n_features = len(self.mean)
        move = np.zeros((n_features + 1, n_features + 1))
        move[np.arange(n_features), np.arange(n_features)] = scale / self.scale
        move[-1, :-1] = (center - self.center) / self.scale
        move[-1, -1] = 1.0
        return move

    def apply(self, x: Float32Array, *, single: bool = False) -> RealArray:
        """Return standardised features with a last column of ones, shape (n_rows, n_features + 1).

        Parameters
        ----------
        single
            Whether in single precision.
        """
        out = np.empty((len(x), x.shape[1] + 1), np.float32 if single else np.float64)
        standardise(x, self.center, self.scale, out)
        return out

    def raw_weights(self, w: FloatArray) -> FloatArray:
        """Return weights on raw features that give the margins of `w` on standardised ones.

        Parameters
        ----------
        w
            Shape (n_outputs, n_features + 1), intercepts last.

        Returns
        -------
        The same shape.
        """
        raw = w[:, :-1] / self.scale
        return np.column_stack([raw, w[:, -1] - raw @ self.center])

    def _deviation(self) -> FloatArray:
        weight = float(self.weight)
        return np.sqrt(self.m2 / weight) if weight else np.zeros_like(self.m2)
