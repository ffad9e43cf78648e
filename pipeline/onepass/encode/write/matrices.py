"""Compiled loops that write several neighbouring features of each row, in any order of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, IntArray
from onepass.jit import compiled

_LARGEST = np.finfo(np.float32).max
"""Largest magnitude of a feature: larger ones do not fit into float32."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Lists of numbers of one length, and how they are scaled."""

    elements: NDArray[Any]
    """The numbers, as they lie in memory."""
    valid: NDArray[np.bool_]
    """Whether each element is not null; without elements if all of them are."""
    begin: IntArray
    """Place of the first element of each row, shape (n_rows,); -1 for a null row."""
    center: FloatArray
    """Subtracted from the elements of a list, shape (length,)."""
    factor: FloatArray
    """The feature is ``(element - center) * factor``, or 0 if the element cannot be used."""
    has_mark: bool
    """Whether the feature behind the elements is 1 for a null row, and else 0."""

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.center) + self.has_mark

    def write(self, rows: IntArray, dense: Float32Array, first: int) -> tuple[int, int]:
        """Write row i to row ``rows[i]`` of `dense`, from feature `first` on.

        Returns
        -------
        Number of elements that are not null but cannot be used, and number of null elements.
        """
        arrays = (self.elements, self.valid, self.begin, self.center, self.factor)
        unusable, nulls = _spread_vectors(*arrays, self.has_mark, rows, dense, first)
        return int(unusable), int(nulls)

    def between(self, first: int, stop: int) -> Vectors:
        """Return the rows from `first` up to `stop`."""
        begin = self.begin[first:stop]
        return Vectors(self.elements, self.valid, begin, self.center, self.factor, self.has_mark)


@compiled
def _spread_vectors(
    elements: NDArray[Any],
    valid: NDArray[np.bool_],
    begin: IntArray,
    center: FloatArray,
    factor: FloatArray,
    has_mark: bool,
    rows: IntArray,
    dense: Float32Array,
    first: int,
) -> tuple[int, int]:
    length = len(center)
    unusable, nulls = 0, 0
    for i in range(len(rows)):
        out, at = dense[rows[i], first : first + length], begin[i]
        if has_mark:
            dense[rows[i], first + length] = np.float32(1.0) if at < 0 else np.float32(0.0)
        if at < 0:
            out[:] = np.float32(0.0)
            continue
        x = elements[at : at + length]
        any_unusable = False
        for j in range(length):
            v = (x[j] - center[j]) * factor[j]
            # NaN fails the comparison like values that are too large.
            usable = abs(v) <= _LARGEST
            any_unusable |= not usable
            out[j] = np.float32(v) if usable else np.float32(0.0)
        if len(valid):
            for j in range(length):
                if not valid[at + j]:
                    out[j] = np.float32(0.0)
                    nulls += 1
        # Unusable elements are rare, so they are counted apart and the loop above stays short.
        if any_unusable:
            for j in range(length):
                known = len(valid) == 0 or valid[at + j]
                unusable += known and not abs((x[j] - center[j]) * factor[j]) <= _LARGEST
    return unusable, nulls


@compiled
def scatter_matrix(features: Float32Array, rows: IntArray, out: Float32Array) -> None:
    """Write row i of `features` to row ``rows[i]`` of `out`, both of the same width."""
    for i in range(len(rows)):
        row = out[rows[i]]
        for j in range(features.shape[1]):
            row[j] = features[i, j]


@compiled
def add_matrix(
    features: Float32Array, weights: FloatArray, margins: FloatArray, first_row: int
) -> None:
    """Add features times their weights to the margins; `weights` has shape (n_outputs, width)."""
    width = features.shape[1]
    for i in range(len(features)):
        x = features[i]
        for o in range(len(margins)):
            w = weights[o]
            # Four sums that do not wait for each other, always in this order.
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            j = 0
            while j + 3 < width:
                a += w[j] * x[j]
                b += w[j + 1] * x[j + 1]
                c += w[j + 2] * x[j + 2]
                d += w[j + 3] * x[j + 3]
                j += 4
            while j < width:
                a += w[j] * x[j]
                j += 1
            margins[o, first_row + i] += (a + b) + (c + d)
