"""Metrics of several classes: probabilities of softmax loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onepass.block import FloatArray
from onepass.learn.metrics.base import Metrics, Sums, Tables, Values, counted, ratio

_TINY = 1e-15


class ClassMetrics(Sums):
    """Log loss, accuracy, Brier score; share, recall, precision and log loss of each class.

    Parameters
    ----------
    classes
        Texts of the classes. Predictions have a column for each class, labels are indices.
    """

    names = ("weight", "brier")

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.per_class = np.zeros((4, len(self.classes)))
        """Weighted sums, shape (4, n_classes): rows of the class, rows predicted as the class, rows
        of both kinds, and log loss of the rows of the class."""

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows; predictions have shape (n_rows, n_classes)."""
        if not len(label):
            return
        n_classes, truth = len(self.classes), label.astype(np.int64)
        chosen = prediction.argmax(axis=1)
        of_truth = prediction[np.arange(len(label)), truth]
        # Sum over classes of (p_k - [k is true])^2, without making the matrix of indicators.
        brier = np.einsum("ij,ij->i", prediction, prediction) - 2 * of_truth + 1
        self._add(weight, brier)
        nll = -np.log(np.clip(of_truth, _TINY, 1.0))
        self.per_class += [
            counted(truth, weight, n_classes),
            counted(chosen, weight, n_classes),
            counted(truth, weight * (chosen == truth), n_classes),
            counted(truth, weight * nll, n_classes),
        ]

    def row_losses(self, prediction: FloatArray, label: FloatArray) -> FloatArray:
        """Return the negative log likelihood of each row."""
        of_truth = prediction[np.arange(len(label)), label.astype(np.int64)]
        return np.asarray(-np.log(np.clip(of_truth, _TINY, 1.0)))

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, ClassMetrics)
        assert other.classes == self.classes
        super().merge(other)
        self.per_class += other.per_class

    def loss(self) -> float:
        """Return the mean negative log likelihood in nats."""
        return ratio(float(self.per_class[3].sum()), float(self.sums[0]))

    def constant_loss(self) -> float:
        """Return the entropy of the label in nats."""
        if not self.sums[0]:
            return float("nan")
        share = self.per_class[0] / self.sums[0]
        share = share[share > 0]
        return abs(float(share @ np.log(share)))

    def values(self) -> Values:
        """Return log loss, accuracy, Brier score, mean recall and precision of classes present."""
        rows, predicted, correct, _ = self.per_class
        present = rows > 0
        recall, precision = _shares(correct, rows), _shares(correct, predicted)
        # A class that is never predicted has no precision; it counts as 0, as in scikit-learn.
        return {
            "log_loss": self.loss(),
            "accuracy": ratio(float(correct.sum()), float(self.sums[0])),
            "brier": self._mean("brier"),
            "macro_recall": ratio(float(recall[present].sum()), int(present.sum())),
            "macro_precision": ratio(
                float(np.nan_to_num(precision[present]).sum()), int(present.sum())
            ),
            "constant_loss": self.constant_loss(),
        }

    def tables(self) -> Tables:
        """Return for each class: share of rows, recall, precision, mean log loss of its rows."""
        rows, predicted, correct, nll = self.per_class
        columns = (
            list(self.classes),
            _shares(rows, np.full_like(rows, self.sums[0])).tolist(),
            _shares(correct, rows).tolist(),
            _shares(correct, predicted).tolist(),
            _shares(nll, rows).tolist(),
        )
        names = ("class", "share", "recall", "precision", "log_loss")
        return {
            "classes": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        }


def _shares(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Return part / whole; NaN where the whole is 0."""
    shares: FloatArray = np.full(len(part), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares
