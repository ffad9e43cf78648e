"""The map from margins to predictions: inverse link, order of quantiles, scale, range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray
from onepass.learn.known import restored
from onepass.learn.losses import Loss

NO_RANGE = (np.inf, -np.inf)
"""Least and largest label before the first label."""


@dataclass(frozen=True, slots=True)
class LabelUnit:
    """The map from margins to predictions in the label's unit."""

    losses: list[Loss]
    """Loss of each head: one, or one for each quantile."""
    center: float
    scale: float
    range: tuple[float, float]
    """Least and largest prediction, apart from the offset; `NO_RANGE` for no bounds."""

    def predictions(self, margins: FloatArray, offset: FloatArray | None = None) -> FloatArray:
        """Return predictions from the margins of all heads.

        Parameters
        ----------
        margins
            Shape (n_outputs, n_rows), head by head, offset included.
        offset
            See `of_heads`.

        Returns
        -------
        The predictions of `of_heads`.
        """
        heads, first = [], 0
        for loss in self.losses:
            own = margins[first : first + loss.n_outputs]
            heads.append(
                np.ascontiguousarray(own.T) if loss.n_outputs > 1 or loss.is_ordered else own[0]
            )
            first += loss.n_outputs
        return self.of_heads(heads, offset)

    def of_heads(self, margins: list[FloatArray], offset: FloatArray | None = None) -> FloatArray:
        """Return predictions from the margins of each head.

        Parameters
        ----------
        margins
            For each head shape (n_rows,), or (n_rows, n_outputs) for several classes;
            offset included.
        offset
            Offset of each row in the label's unit, shape (n_rows,); None if there is none. The
            range of predictions moves along with it: a row of ten times the exposure may have ten
            times the count.

        Returns
        -------
        - regression: shape (n_rows,)
        - logistic: the probability of the positive class, shape (n_rows,)
        - hinge: the margin, shape (n_rows,)
        - softmax, ordinal: probabilities, shape (n_rows, n_classes)
        - several quantiles: shape (n_rows, n_quantiles), in rising order. Where quantiles of a row
          cross they are sorted, which never raises the loss (V. Chernozhukov et al., Econometrica
          78, 2010, prop. 4).
        """
        means = [loss.mean(z) for loss, z in zip(self.losses, margins, strict=True)]
        found = means[0] if len(means) == 1 else np.sort(np.column_stack(means), axis=1)
        if (self.center, self.scale) != (0.0, 1.0):
            found = found * self.scale + self.center
        low, high = self.range
        # Before the first row the range is empty and nothing can be clipped to it.
        if low <= high and offset is None:
            found = np.clip(found, low, high)
        elif low <= high and offset is not None:
            own = offset if found.ndim == 1 else offset[:, None]
            bounds = (restored(one, own, self.losses[0].name) for one in (low, high))
            found = np.clip(found, *bounds)
        return np.asarray(found)
