"""From margins to predictions in the label's unit: link, order of quantiles, scale, range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray
from onepass.learn.losses import SOFTMAX, Loss

NO_RANGE = (np.inf, -np.inf)
"""Least and largest label before the first one."""


@dataclass(frozen=True, slots=True)
class LabelUnit:
    """What a learner knows of its label.

    For regression predictions may be kept within the range of labels learnt so far.
    """

    losses: list[Loss]
    """Of each head: one, or one for each quantile."""
    center: float
    scale: float
    range: tuple[float, float]
    """Least and largest label to predict; `NO_RANGE` for no bounds."""

    def predictions(self, margins: FloatArray) -> FloatArray:
        """Predictions by the margins of all heads.

        Parameters
        ----------
        margins
            Shape (n_outputs, n_rows), head by head.

        Returns
        -------
        See `of_heads`.
        """
        heads, first = [], 0
        for loss in self.losses:
            own = margins[first : first + loss.n_outputs]
            heads.append(np.ascontiguousarray(own.T) if loss.code == SOFTMAX else own[0])
            first += loss.n_outputs
        return self.of_heads(heads)

    def of_heads(self, margins: list[FloatArray]) -> FloatArray:
        """Predictions by the margins of each head, (n_rows, n_classes) for softmax, else (n_rows,).

        Returns
        -------
        Shape (n_rows,): a number; the probability of the positive class for logistic; the margin
        for hinge. Shape (n_rows, n_classes) for softmax: probabilities. Shape (n_rows, n_quantiles)
        for several quantiles, in rising order: where lines cross they are sorted, which never
        raises the loss (V. Chernozhukov et al., Econometrica 78, 2010, prop. 4).
        """
        means = [loss.mean(z) for loss, z in zip(self.losses, margins, strict=True)]
        found = means[0] if len(means) == 1 else np.sort(np.column_stack(means), axis=1)
        if (self.center, self.scale) != (0.0, 1.0):
            found = found * self.scale + self.center
        low, high = self.range
        # Before the first row the range is empty and nothing can be clipped to it.
        if low <= high:
            found = np.clip(found, low, high)
        return np.asarray(found)
