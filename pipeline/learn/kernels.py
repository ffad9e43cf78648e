"""Compiled loops over rows."""

from __future__ import annotations

import math

import numpy as np

from pipeline.block import Float32Array, FloatArray, RealArray
from pipeline.compiled import compiled


@compiled
def moments(x: Float32Array, weight: FloatArray, mean: FloatArray, m2: FloatArray) -> float:
    """Write each column's weighted mean and sum of squares about it; return the sum of weights."""
    total = 0.0
    mean[:] = 0.0
    m2[:] = 0.0
    for i in range(len(x)):
        total += weight[i]
        for j in range(x.shape[1]):
            mean[j] += weight[i] * x[i, j]
    if total > 0.0:
        mean /= total
        for i in range(len(x)):
            for j in range(x.shape[1]):
                m2[j] += weight[i] * (x[i, j] - mean[j]) ** 2
    return total


@compiled
def shifted_sums(
    x: Float32Array, weight: FloatArray, shift: FloatArray, first: FloatArray, second: FloatArray
) -> float:
    """Add each column's weighted sums of ``x - shift`` and of its square; return that of weights.

    In one pass over the rows, which suits a shift close to the mean.
    """
    total = 0.0
    for i in range(len(x)):
        total += weight[i]
        for j in range(x.shape[1]):
            d = x[i, j] - shift[j]
            first[j] += weight[i] * d
            second[j] += weight[i] * d * d
    return total


@compiled
def standardise(x: Float32Array, center: FloatArray, scale: FloatArray, out: RealArray) -> None:
    """Write ``(x - center) / scale`` with a column of ones behind, in the precision of `out`."""
    factor = 1.0 / scale
    for i in range(len(x)):
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - center[j]) * factor[j]
        out[i, x.shape[1]] = 1.0


@compiled
def weighted(x: Float32Array, c: FloatArray, out: Float32Array) -> None:
    """Write rows times the root of c, and zeros into the columns of `out` that are more."""
    width = x.shape[1]
    for i in range(len(x)):
        root = np.float32(math.sqrt(c[i]))
        for j in range(width):
            out[i, j] = root * x[i, j]
        for j in range(width, out.shape[1]):
            out[i, j] = 0.0
