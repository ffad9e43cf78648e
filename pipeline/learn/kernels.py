"""Compiled loops over rows."""

from __future__ import annotations

from pipeline.block import Float32Array, FloatArray, SlotArray
from pipeline.compiled import compiled
from pipeline.learn.losses import gradient


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


@compiled
def sgd_pass(
    loss: int,
    alpha: float,
    l2: float,
    dense: Float32Array,
    slots: SlotArray,
    label: FloatArray,
    weight: FloatArray,
    w: FloatArray,
    hashed: FloatArray,
    shrink: FloatArray,
    margin: FloatArray,
) -> None:
    """One gradient step per row, in order; see `Sgd`.

    `w` holds the dense weights and the intercept behind them. The hashed weights are
    ``shrink[0] * hashed``: the penalty shrinks all of them at each row through that one factor.
    """
    n_rows, n_dense = dense.shape
    for i in range(n_rows):
        z = float(w[n_dense])
        for j in range(n_dense):
            z += dense[i, j] * w[j]
        for k in range(slots.shape[1]):
            z += shrink[0] * hashed[slots[i, k]]
        margin[i] = z
        g = weight[i] * gradient(loss, 0.0, 0.0, z, label[i])
        decay = weight[i] * l2
        for j in range(n_dense):
            w[j] -= alpha * (g * dense[i, j] + decay * w[j])
        w[n_dense] -= alpha * g
        if slots.shape[1]:
            shrink[0] *= 1.0 - alpha * decay
            # Before the step divides by it: a strong penalty makes it zero or negative.
            if shrink[0] < 1e-6:
                for s in range(len(hashed)):
                    hashed[s] *= shrink[0]
                shrink[0] = 1.0
            for k in range(slots.shape[1]):
                hashed[slots[i, k]] -= alpha * g / shrink[0]
