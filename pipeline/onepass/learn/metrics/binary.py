"""Metrics of two classes: probabilities of logistic loss, margins of hinge loss."""

from __future__ import annotations

import math

import numpy as np

from onepass.block import FloatArray
from onepass.jit import inlined, reordered
from onepass.learn.metrics.base import Metrics, Sums, Tables, Values, ratio
from onepass.learn.metrics.ranking import N_BINS, N_GROUPS, Ranking, group_bins, probability_edges

_TINY = 1e-15
"""Least probability whose logarithm is taken."""

_LOG = np.array([0.9994607, -0.4915082, 0.2880761, -0.1341764, 0.0312949], np.float32)
_LOG_2 = np.float32(math.log(2.0))
_TILE = 128
"""Rows that `_add_rows` handles together."""


@inlined
def _approximate_log(x: float) -> np.float32:
    """Return log(x) of a normal number with an error of 2e-5, accurate enough to find a bin."""
    bits = np.float32(x).view(np.int32)
    exponent = np.float32((bits >> np.int32(23)) - np.int32(127))
    mantissa = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
    m = mantissa - np.float32(1.0)
    # The minimax polynomial of log(1 + m) on 0 to 1 that is exact at both ends.
    near = m * (_LOG[0] + m * (_LOG[1] + m * (_LOG[2] + m * (_LOG[3] + m * _LOG[4]))))
    return np.float32(exponent * _LOG_2 + near)


@reordered
def _add_rows(
    prediction: FloatArray,
    label: FloatArray,
    weight: FloatArray,
    sums: FloatArray,
    bins: FloatArray,
) -> None:
    """Add rows to the sums of `BinaryMetrics` and to its ranking, in one pass.

    Rows are handled in tiles. The loops that can be vectorised come first, since they are several
    times as fast as one loop that does everything row by row.
    """
    place, right = np.empty(_TILE, np.int32), np.empty(_TILE)
    flat = bins.reshape(bins.size)
    heavy = loss = correct = positives = squares = 0.0
    for start in range(0, len(label), _TILE):
        n = min(_TILE, len(label) - start)
        for i in range(n):
            side = label[start + i]
            p = min(max(prediction[start + i], _TINY), 1.0 - _TINY)
            right[i] = side * p + (1.0 - side) * (1.0 - p)
            score = _approximate_log(p / (1.0 - p))
            at = (score + np.float32(20.0)) * np.float32(N_BINS / 40)
            place[i] = np.int32(min(max(at, np.float32(0)), np.float32(N_BINS - 1)))
        # The sums are in a loop that writes to no array. In a loop that does, it may depend on the
        # addresses of the arrays whether it is vectorised, and so the last bit of a sum; see APART.
        for i in range(start, start + n):
            w, side, found = weight[i], label[i], prediction[i]
            heavy += w
            correct += w * (1.0 if (found > 0.5) == (side > 0.5) else 0.0)
            positives += w * side
            squares += w * (found - side) ** 2
        product = 1.0
        for i in range(n):
            w, spot = weight[start + i], np.uint32(place[i])
            if w == 1.0:
                # One logarithm for the product of 16 factors; 16 factors of 1e-15 do not underflow.
                product *= right[i]
                if i % 16 == 15:
                    loss -= math.log(product)
                    product = 1.0
            else:
                loss -= w * math.log(right[i])
            flat[np.uint32(label[start + i] * N_BINS) + spot] += w
            flat[np.uint32(2 * N_BINS) + spot] += w * prediction[start + i]
        loss -= math.log(product)
    sums[0] += heavy
    sums[1] += loss
    sums[2] += correct
    sums[3] += positives
    sums[4] += squares


class BinaryMetrics(Sums):
    """Log loss, AUC, accuracy, Brier score and calibration of probabilities."""

    names = ("weight", "log_loss", "correct", "positive", "squared_error")

    def __init__(self) -> None:
        super().__init__()
        self.ranking = Ranking()

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows; labels are 0 or 1."""
        self.n_rows += len(label)
        _add_rows(prediction, label, weight, self.sums, self.ranking.bins)

    def row_losses(self, prediction: FloatArray, label: FloatArray) -> FloatArray:
        """Return the negative log likelihood of each row."""
        p = np.clip(prediction, _TINY, 1 - _TINY)
        return np.asarray(-np.log(np.where(label > 0.5, p, 1 - p)))

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        super().merge(other)
        assert isinstance(other, BinaryMetrics)
        self.ranking.merge(other.ranking)

    def loss(self) -> float:
        """Return the mean negative log likelihood in nats."""
        return self._mean("log_loss")

    def constant_loss(self) -> float:
        """Return the entropy of the label in nats."""
        p = self._mean("positive")
        return float(sum(-q * np.log(q) for q in (p, 1 - p) if q > 0)) if p == p else p

    def values(self) -> Values:
        """Return log loss, AUC with its error bound, accuracy, Brier score, and others."""
        return {
            "log_loss": self.loss(),
            **self.ranking.values(),
            "accuracy": self._mean("correct"),
            "brier": self._mean("squared_error"),
            "calibration_error": self._calibration_error(),
            "positive": self._mean("positive"),
            "constant_loss": self.constant_loss(),
        }

    def tables(self) -> Tables:
        """Return the calibration of up to ten groups of rows, about equally heavy.

        Groups are intervals of the predicted probability.
        """
        names = ("from", "to", "prediction", "positive", "weight")
        return {"calibration": [dict(zip(names, row, strict=True)) for row in self._groups()]}

    def _calibration_error(self) -> float:
        """Return the weighted mean, over the groups, of |mean prediction - share of positives|."""
        gaps = [weight * abs(mean - share) for *_, mean, share, weight in self._groups()]
        return ratio(sum(gaps), float(self.sums[0]))

    def _groups(self) -> list[tuple[float, float, float, float, float]]:
        """Return edges, mean prediction, share of positives and weight of each group."""
        found = np.empty((N_GROUPS, 5))
        low, high, total, predicted, positive = found[: group_bins(self.ranking.bins, found)].T
        columns = (
            probability_edges(low),
            probability_edges(high),
            predicted / total,
            positive / total,
            total,
        )
        return list(zip(*(column.tolist() for column in columns), strict=True))


class HingeMetrics(Sums):
    """Hinge loss, accuracy and AUC of margins; the positive class is predicted above 0."""

    names = ("weight", "hinge", "correct", "positive")

    def __init__(self) -> None:
        super().__init__()
        self.ranking = Ranking()

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows; labels are 0 or 1."""
        positive, hinge = label > 0.5, self.row_losses(prediction, label)
        self._add(weight, hinge, (prediction > 0) == positive, positive)
        self.ranking.add(prediction, positive, weight, prediction)

    def row_losses(self, prediction: FloatArray, label: FloatArray) -> FloatArray:
        """Return the hinge loss of each row."""
        margin = np.where(label > 0.5, prediction, -prediction)
        return np.asarray(np.maximum(0.0, 1 - margin))

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        super().merge(other)
        assert isinstance(other, HingeMetrics)
        self.ranking.merge(other.ranking)

    def loss(self) -> float:
        """Return the mean hinge loss."""
        return self._mean("hinge")

    def constant_loss(self) -> float:
        """Return the loss of margin 1 or -1 for the more frequent class: twice the other share."""
        p = self._mean("positive")
        return 2 * min(p, 1 - p)

    def values(self) -> Values:
        """Return hinge loss, AUC with its error bound, accuracy, share of positives, and others."""
        return {
            "hinge": self.loss(),
            **self.ranking.values(),
            "accuracy": self._mean("correct"),
            "positive": self._mean("positive"),
            "constant_loss": self.constant_loss(),
        }
