"""The protocol of metrics, and the weighted sums that most of them are computed from."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray, IntArray

Values: TypeAlias = dict[str, float]

Tables: TypeAlias = dict[str, list[dict[str, float | str]]]
"""Rows of each table, by its name; a number that does not exist is NaN."""


class Metrics(Protocol):
    """An accumulator of predictions and labels."""

    n_rows: int
    """Number of rows added."""

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows.

        Parameters
        ----------
        prediction
            Result of `Learner.predict`: shape (n_rows,), or a column per quantile or class.
        label
            Shape (n_rows,); class indices for softmax.
        weight
            Shape (n_rows,).
        """
        ...

    def row_losses(self, prediction: FloatArray, label: FloatArray) -> FloatArray:
        """Return the loss of each row, shape (n_rows,); `loss` is its weighted mean."""
        ...

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator of the same kind and settings."""
        ...

    def loss(self) -> float:
        """Return the weighted mean loss per row; NaN without rows."""
        ...

    def constant_loss(self) -> float:
        """Return the loss of the best constant prediction on the same rows; NaN without rows."""
        ...

    def values(self) -> Values:
        """Return all metrics that are one number, by name."""
        ...

    def tables(self) -> Tables:
        """Return the metrics that are tables, such as one row per class."""
        ...


class Sums:
    """Named weighted sums over rows, in one array, so that accumulators merge by adding."""

    names: tuple[str, ...]
    """Names of the sums; the first is the sum of the weights."""

    def __init__(self) -> None:
        self.n_rows = 0
        self.sums = np.zeros(len(self.names))

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, type(self))
        self.n_rows += other.n_rows
        self.sums += other.sums

    def tables(self) -> Tables:
        """Return no tables."""
        return {}

    def _add(self, weight: FloatArray, *terms: NDArray[np.float64 | np.bool_]) -> None:
        """Add rows with the terms of all sums but the first."""
        self.n_rows += len(weight)
        self.sums += [float(weight.sum()), *(float(weight @ term) for term in terms)]

    def _mean(self, name: str) -> float:
        """Return a sum over the sum of weights; NaN without rows."""
        weight = self.sums[0]
        return float(self.sums[self.names.index(name)] / weight) if weight else float("nan")


def counted(place: IntArray, weight: FloatArray, n_places: int = 0) -> FloatArray:
    """Return the sum of the weights at each place, shape (at least n_places,)."""
    sums: FloatArray = np.bincount(place, weight, n_places).astype(np.float64)
    return sums


def ratio(part: float, whole: float) -> float:
    """Return part / whole; NaN if the whole is 0."""
    return float(part / whole) if whole else float("nan")
