"""Compiled loops over rows."""

from __future__ import annotations

from pipeline.block import Float32Array, FloatArray
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
def standardise(x: Float32Array, center: FloatArray, scale: FloatArray, out: FloatArray) -> None:
    """Write ``(x - center) / scale`` with a column of ones behind."""
    factor = 1.0 / scale
    for i in range(len(x)):
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - center[j]) * factor[j]
        out[i, x.shape[1]] = 1.0
