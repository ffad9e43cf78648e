"""Compiled loops over rows."""

from __future__ import annotations

from numba import njit

from pipeline.block import Float32Array, FloatArray, SlotArray
from pipeline.learn.losses import gradient


@njit(cache=True, nogil=True)
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
        z = w[n_dense]
        for j in range(n_dense):
            z += dense[i, j] * w[j]
        for k in range(slots.shape[1]):
            z += shrink[0] * hashed[slots[i, k]]
        margin[i] = z
        g = weight[i] * gradient(loss, z, label[i])
        decay = weight[i] * l2
        for j in range(n_dense):
            w[j] -= alpha * (g * dense[i, j] + decay * w[j])
        w[n_dense] -= alpha * g
        if slots.shape[1]:
            shrink[0] *= 1.0 - alpha * decay
            for k in range(slots.shape[1]):
                hashed[slots[i, k]] -= alpha * g / shrink[0]
            if shrink[0] < 1e-6:
                for s in range(len(hashed)):
                    hashed[s] *= shrink[0]
                shrink[0] = 1.0
