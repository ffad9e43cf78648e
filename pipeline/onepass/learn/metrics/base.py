"""What every accumulator of metrics offers, and the sums that most consist of."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray, IntArray

Values: TypeAlias = dict[str, float]

Tables: TypeAlias = dict[str, list[dict[str, float | str]]]
"""Rows by name of a table; a number that does not exist is NaN."""


class Metrics(Protocol):
    """Accumulates predictions against labels."""

    n_rows: int
    """Rows added."""

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Take rows into account.

        Parameters
        ----------
        prediction
            As `Learner.predict` gives it: shape (n_rows,), or a column per quantile or class.
        label
            Shape (n_rows,); indices for classes.
        weight
            Shape (n_rows,).
        """
        ...

    def merge(self, other: Metrics) -> None:
        """Take over the rows of another accumulator of the same kind and settings."""
        ...

    def loss(self) -> float:
        """Weighted mean loss per row; NaN without rows."""
        ...

    def constant_loss(self) -> float:
        """Loss of the best constant prediction on the same rows; NaN without rows."""
        ...

    def values(self) -> Values:
        """All metrics that are one number, by name."""
        ...

    def tables(self) -> Tables:
        """Metrics that are several numbers, such as one row per class."""
        ...


class Sums:
    """Named weighted sums over rows, kept in one array so that merging is adding."""

    names: tuple[str, ...]
    """Of the sums; the first is that of the weights."""

    def __init__(self) -> None:
        self.n_rows = 0
        self.sums = np.zeros(len(self.names))

    def merge(self, other: Metrics) -> None:
        """Take over the rows of another accumulator."""
        assert isinstance(other, type(self))
        self.n_rows += other.n_rows
        self.sums += other.sums

    def tables(self) -> Tables:
        """None by default."""
        return {}

    def _add(self, weight: FloatArray, *terms: NDArray[np.float64 | np.bool_]) -> None:
        self.n_rows += len(weight)
        self.sums += [float(weight.sum()), *(float(weight @ term) for term in terms)]

    def _mean(self, name: str) -> float:
        weight = self.sums[0]
        return float(self.sums[self.names.index(name)] / weight) if weight else float("nan")


def counted(place: IntArray, weight: FloatArray, n_places: int = 0) -> FloatArray:
    """Sum of the weights at each place, shape (at least n_places,)."""
    sums: FloatArray = np.bincount(place, weight, n_places).astype(np.float64)
    return sums


def ratio(part: float, whole: float) -> float:
    """A share; NaN of nothing."""
    return float(part / whole) if whole else float("nan")
