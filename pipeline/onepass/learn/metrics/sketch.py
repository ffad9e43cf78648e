"""A histogram of numbers in bounded memory, for losses whose best constant has no formula.

The bin of a number is its distance from the center with the mantissa cut short (as in G. Tene's
HdrHistogram). So the width of a bin is at most 1/128 of its distance from the center, whatever the
magnitude.
"""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray, IntArray
from onepass.learn.metrics.base import counted

_SMALLEST, _LARGEST = 1e-100, 1e100
_DROPPED_BITS = 45
"""Bits that are cut from a float64; 7 of its mantissa stay."""


class Sketch:
    """Weight and mean of the numbers in each bin of their distance from a center.

    Sketches merge by adding bins, so the order of parts does not matter. All distances below 1e-100
    share a bin, and so do all above 1e100, which bounds the number of bins by 170,000. Labels that
    span ten decades on both sides of the center fill at most 8,500.
    """

    def __init__(self, center: float) -> None:
        self.center = center
        self._keys: IntArray = np.empty(0, np.int64)
        self._weight: FloatArray = np.empty(0)
        self._sum: FloatArray = np.empty(0)

    def add(self, values: FloatArray, weight: FloatArray) -> None:
        """Add numbers."""
        if len(values):
            self._take(*_binned(values - self.center, weight))

    def merge(self, other: Sketch) -> None:
        """Add the numbers of another sketch with the same center."""
        assert self.center == other.center
        self._take(other._keys, other._weight, other._sum)

    def points(self) -> tuple[FloatArray, FloatArray]:
        """Return the mean of each bin, ascending, and its weight.

        A bin of equal numbers has an exact mean.
        """
        filled = self._weight > 0
        points = self._sum[filled] / self._weight[filled] + self.center
        order = np.argsort(points)
        return points[order], self._weight[filled][order]

    def _take(self, keys: IntArray, weight: FloatArray, total: FloatArray) -> None:
        merged, at = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        self._weight = counted(at, np.concatenate([self._weight, weight]), len(merged))
        self._sum = counted(at, np.concatenate([self._sum, total]), len(merged))
        self._keys = merged


def _binned(distance: FloatArray, weight: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the keys of the bins in use, the weight of each, and its weighted sum of distances."""
    magnitude = np.clip(np.abs(distance), _SMALLEST, _LARGEST)
    keys = 2 * (magnitude.view(np.int64) >> _DROPPED_BITS) + (distance < 0)
    first = int(keys.min())
    # Keys lie within 170,000 of each other, so counting is much faster than sorting.
    weights = counted(keys - first, weight)
    totals = counted(keys - first, weight * distance)
    filled = np.flatnonzero(weights).astype(np.int64)
    return filled + first, weights[filled], totals[filled]
