"""A uniform sample of predictions with their labels, and how the residuals vary along them."""

from __future__ import annotations

import zlib

import numpy as np

from onepass.block import FloatArray

MOST_ROWS = 1 << 15
"""Most rows of a sample. A tenth of them gives its 5 % quantile within 0.8 % of the rows."""

N_TENTHS = 10

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of the residuals that are told of each tenth."""


class Residuals:
    """A uniform sample of rows, of at most `MOST_ROWS`; all rows where there are fewer.

    Every row draws a priority, and those with the lowest stay. So samples of parts merge to a
    sample of the whole. The priorities of a block follow from its numbers, so the same blocks give
    the same sample, in whatever process they are read.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        """Rows that the sample was drawn from."""
        self._rows = np.empty((4, 0))
        """Priority, prediction, label and weight of each row of the sample."""

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows; each argument has shape (n_rows,)."""
        seed = zlib.crc32(np.ascontiguousarray(label).tobytes())
        seed = zlib.crc32(np.ascontiguousarray(prediction).tobytes(), seed)
        priority = np.random.default_rng(seed).random(len(label))
        self.n_rows += len(label)
        self._take(np.stack([priority, prediction, label, weight]))

    def merge(self, other: Residuals) -> None:
        """Add the rows of another sample."""
        self.n_rows += other.n_rows
        self._take(other._rows)

    def tenths(self) -> list[dict[str, float | str]]:
        """Return the residuals of up to ten groups of rows, by rising prediction.

        Returns
        -------
        For each tenth of the weight: its lowest, highest and mean prediction, the mean label,
        quantiles of label - prediction, and the number of rows in the sample.
        """
        _, prediction, label, weight = self._rows[:, np.isfinite(self._rows[1])]
        order = np.argsort(prediction, kind="stable")
        prediction, label, weight = prediction[order], label[order], weight[order]
        middle = np.cumsum(weight) - 0.5 * weight
        total = float(weight.sum())
        if not total > 0:
            return []
        tenth = np.minimum(N_TENTHS * middle // total, N_TENTHS - 1)
        return [
            _described(prediction[own], label[own], weight[own])
            for own in (tenth == i for i in range(N_TENTHS))
            if weight[own].sum() > 0
        ]

    def _take(self, rows: FloatArray) -> None:
        joined = np.concatenate([self._rows, rows], axis=1)
        if joined.shape[1] > MOST_ROWS:
            joined = joined[:, np.argpartition(joined[0], MOST_ROWS)[:MOST_ROWS]]
        self._rows = joined


def _described(
    prediction: FloatArray, label: FloatArray, weight: FloatArray
) -> dict[str, float | str]:
    quantiles = _quantiles(label - prediction, weight)
    return {
        "from": float(prediction[0]),
        "to": float(prediction[-1]),
        "prediction": float(np.average(prediction, weights=weight)),
        "label": float(np.average(label, weights=weight)),
        **{f"q{100 * q:02.0f}": value for q, value in zip(QUANTILES, quantiles, strict=True)},
        "rows": len(label),
    }


def _quantiles(values: FloatArray, weight: FloatArray) -> list[float]:
    """Return the least values at or below which the shares of the weight lie."""
    order = np.argsort(values)
    cumulated = np.cumsum(weight[order])
    places = np.searchsorted(cumulated, np.array(QUANTILES) * cumulated[-1])
    found: list[float] = values[order][np.minimum(places, len(values) - 1)].tolist()
    return found
