"""A distribution of numbers in bounded memory, for the best constant of losses without a formula.

Bins are made by cutting a number's mantissa short (as G. Tene's HdrHistogram does), so that each is
at most 1/128 as wide as its numbers are far from the center, whatever their magnitude.
"""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray, IntArray
from onepass.learn.metrics.base import counted

_SMALLEST, _LARGEST = 1e-100, 1e100
_DROPPED_BITS = 45


class Sketch:
    """Weights and means of numbers per bin of their distance from a center.

    Merging adds the bins, so the order of parts does not matter. Distances below 1e-100 share a
    bin, as those above 1e100 do, which bounds the bins to 170,000; labels that span ten decades on
    both sides of the center fill at most 8,500.
    """

    def __init__(self, center: float) -> None:
        self.center = center
        self._keys: IntArray = np.empty(0, np.int64)
        self._weight: FloatArray = np.empty(0)
        self._sum: FloatArray = np.empty(0)

    def add(self, values: FloatArray, weight: FloatArray) -> None:
        """Take numbers into account."""
        if len(values):
            self._take(*_binned(values - self.center, weight))

    def merge(self, other: Sketch) -> None:
        """Take over the numbers of another sketch of the same center."""
        assert self.center == other.center
        self._take(other._keys, other._weight, other._sum)

    def points(self) -> tuple[FloatArray, FloatArray]:
        """Mean of each bin, ascending, and its weight; equal numbers have an exact mean."""
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
    magnitude = np.clip(np.abs(distance), _SMALLEST, _LARGEST)
    keys = 2 * (magnitude.view(np.int64) >> _DROPPED_BITS) + (distance < 0)
    first = int(keys.min())
    # Counting beats sorting by far: keys lie within 170,000 of each other.
    weights = counted(keys - first, weight)
    totals = counted(keys - first, weight * distance)
    filled = np.flatnonzero(weights).astype(np.int64)
    return filled + first, weights[filled], totals[filled]
