"""The difference between the losses of two models on the same rows, with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from onepass.block import FloatArray
from onepass.special import ndtr, ndtri


@dataclass(slots=True)
class PairedLosses:
    """Sums over rows of the losses of two models, from which their difference is judged.

    The mean difference is weighted. Its standard error is that of a ratio of sums (W. Cochran,
    "Sampling Techniques", 1977, eq. 2.39 with the correction left out), so that it does not depend
    on the unit of the weights. Rows are taken as independent.
    """

    n_rows: int = 0
    sums: FloatArray = field(default_factory=lambda: np.zeros(7))
    """Sums of w, w a, w b, w d, w^2, w^2 d and w^2 d^2, where a and b are losses and d = a - b."""

    def add(self, first: FloatArray, second: FloatArray, weight: FloatArray) -> None:
        """Add rows; each argument has shape (n_rows,)."""
        apart, square = first - second, weight * weight
        self.n_rows += int(np.count_nonzero(weight))
        self.sums += [
            *(weight.sum(), weight @ first, weight @ second, weight @ apart),
            *(square.sum(), square @ apart, square @ (apart * apart)),
        ]

    def merge(self, other: PairedLosses) -> None:
        """Add the rows of another accumulator."""
        self.n_rows += other.n_rows
        self.sums += other.sums

    @property
    def losses(self) -> tuple[float, float]:
        """Weighted mean loss of each model; NaN without rows."""
        total = self.sums[0] or math.nan
        return float(self.sums[1] / total), float(self.sums[2] / total)

    @property
    def difference(self) -> float:
        """Loss of the first model less that of the second; NaN without rows."""
        return float(self.sums[3] / (self.sums[0] or math.nan))

    @property
    def std_error(self) -> float:
        """Standard error of the difference; NaN with fewer than two rows."""
        if self.n_rows < 2:
            return math.nan
        mean, total = self.difference, self.sums[0]
        spread = self.sums[6] - 2 * mean * self.sums[5] + mean * mean * self.sums[4]
        return float(math.sqrt(max(spread, 0.0) * self.n_rows / (self.n_rows - 1)) / total)

    @property
    def p_value(self) -> float:
        """Two-sided p value of a difference of 0, by the normal distribution."""
        error = self.std_error
        if not error > 0:
            return math.nan
        return float(2 * ndtr(-abs(self.difference) / error))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the bounds of the difference that cover it with a probability of `level`."""
        reach = float(ndtri(0.5 + level / 2)) * self.std_error
        return self.difference - reach, self.difference + reach
