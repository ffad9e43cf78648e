"""Metrics of quantile loss, of one quantile or several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onepass.block import FloatArray
from onepass.learn.metrics.base import Metrics, Sums, Tables, Values
from onepass.learn.metrics.sketch import Sketch


def middle(quantiles: Sequence[float]) -> int:
    """Return the index of the quantile nearest to the median, the lower one of two."""
    return min(range(len(quantiles)), key=lambda i: (round(abs(quantiles[i] - 0.5), 9), i))


class QuantileMetrics(Sums):
    """Pinball loss per quantile, and the share of labels at or below each prediction.

    The loss is the mean over the quantiles. The loss of the best constants is computed from a
    sketch, in which each label is replaced by the mean of its bin. It is never above the true one.
    It is below it by at most the share of labels in the quantile's bin times the width of that bin,
    which is 1/128 of the bin's distance from the center. Where labels repeat, as whole numbers do,
    it is exact.
    """

    names = ("weight", "absolute_error")

    def __init__(self, shift: float = 0.0, quantiles: Sequence[float] = (0.5,)) -> None:
        super().__init__()
        self.quantiles = tuple(quantiles)
        self.labels = Sketch(shift)
        self.per_quantile = np.zeros((2, len(self.quantiles)))
        """Weighted sums of pinball loss, and of labels at or below; a column for each quantile."""

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows; predictions of several quantiles are columns."""
        columns = prediction.reshape(len(label), len(self.quantiles))
        residual = label[:, None] - columns
        self._add(weight, np.abs(residual[:, middle(self.quantiles)]))
        self.per_quantile += [weight @ _pinball(residual, self.quantiles), weight @ (residual <= 0)]
        self.labels.add(label, weight)

    def row_losses(self, prediction: FloatArray, label: FloatArray) -> FloatArray:
        """Return the pinball loss of each row, the mean over the quantiles."""
        residual = label[:, None] - prediction.reshape(len(label), -1)
        return np.asarray(_pinball(residual, self.quantiles).mean(axis=1))

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, QuantileMetrics)
        assert other.quantiles == self.quantiles
        super().merge(other)
        self.per_quantile += other.per_quantile
        self.labels.merge(other.labels)

    def loss(self) -> float:
        """Return the mean pinball loss over rows and quantiles."""
        return float(self._means()[0].mean())

    def constant_loss(self) -> float:
        """Return the pinball loss of the quantiles of the labels, from the sketch."""
        return float(np.mean(self._constant_losses()))

    def values(self) -> Values:
        """Return pinball loss, MAE of the middle quantile, share of labels at or below each."""
        below = self._means()[1].tolist()
        named = (
            {"below": below[0]} if len(below) == 1 else dict(zip(self._names(), below, strict=True))
        )
        return {
            "pinball": self.loss(),
            "mae": self._mean("absolute_error"),
            **named,
            "constant_loss": self.constant_loss(),
        }

    def tables(self) -> Tables:
        """Return pinball loss, share of labels at or below, and constant loss for each quantile."""
        pinball, below = self._means()
        columns = (self.quantiles, pinball.tolist(), below.tolist(), self._constant_losses())
        names = ("quantile", "pinball", "below", "constant_loss")
        return {
            "quantiles": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        }

    def _means(self) -> FloatArray:
        weight = self.sums[0]
        return self.per_quantile / weight if weight else np.full_like(self.per_quantile, np.nan)

    def _names(self) -> list[str]:
        return [f"below_{quantile:g}" for quantile in self.quantiles]

    def _constant_losses(self) -> list[float]:
        points, weight = self.labels.points()
        if not len(points):
            return [float("nan")] * len(self.quantiles)
        cumulated = np.cumsum(weight)
        losses = []
        for quantile in self.quantiles:
            at = np.searchsorted(cumulated, quantile * cumulated[-1])
            residual = points - points[min(int(at), len(points) - 1)]
            losses.append(float(weight @ _pinball(residual[:, None], (quantile,))[:, 0]))
        return [loss / float(cumulated[-1]) for loss in losses]


def _pinball(residual: FloatArray, quantiles: Sequence[float]) -> FloatArray:
    """Return the loss of each residual y - p, a column per quantile."""
    q = np.asarray(quantiles)
    return np.maximum(q * residual, (q - 1) * residual)
