"""The compiled pass of newton over a block that lies column by column; see `expansion_pass`."""

from __future__ import annotations

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from onepass.block import Float32Array, FloatArray
from onepass.column_intrinsics import ACROSS, DOWN, LANES, add_column_products
from onepass.intrinsics import pointer, prefetch
from onepass.jit import APART, inlined, inlined_as_written, reordered
from onepass.learn.newton.expansion import FLOOR
from onepass.learn.pointwise import HUBER, LOGISTIC, curvature, exp_below, gradient, majoriser

RUN = 256
NEAR = 24
"""Rows that are worked on together."""

CENTER, FACTOR, WEIGHTS, FIRST, SECOND, SLOPE = range(6)
N_KINDS = 6


@inlined_as_written
def _standardise(x: Float32Array, center: np.float32, rest: np.float32, factor: np.float32, out: Float32Array) -> None:
    for i in range(len(x)):
        out[i] = ((x[i] - center) - rest) * factor


@reordered
def column_pass(
    loss: int, a: float, from_zero: bool, first: int, step: int, n_dense: int,
    label: FloatArray, weight: FloatArray, counted: FloatArray, offset: FloatArray,
    columns: FloatArray, total: FloatArray, margin: FloatArray,
) -> tuple[float, float, float]:
    n_rows, width = len(label), total.shape[0]
    flat = total.reshape(total.size)
    plain = np.zeros(RUN * width + APART, np.float32)
    weighted = np.zeros(RUN * width + APART, np.float32)
    own, z = np.zeros(RUN + APART, np.float32), np.zeros(RUN + APART, np.float32)
    g, c = np.zeros(RUN + APART), np.zeros(RUN + APART)
    slope, curved = np.zeros(RUN + APART, np.float32), np.zeros(RUN + APART, np.float32)
    noise = bend = seen = 0.0
    for start in range(0, n_rows, RUN):
        n = min(RUN, n_rows - start)
        padded = -(-n // LANES) * LANES
        for i in range(n):
            own[i] = np.float32(counted[start + i])
            z[i] = np.float32(columns[WEIGHTS, n_dense])
            seen += counted[start + i]
        for j in range(n_dense):
            whole = carray(pointer(first + j * step), (n_rows,), np.float32)
            for ahead in range(start + n, min(n_rows, start + n + RUN), 16):
                prefetch(whole, np.uint64(ahead))
            center, factor = columns[CENTER, j], np.float32(columns[FACTOR, j])
            near = np.float32(center)
            x = plain[j * RUN : j * RUN + n]
            _standardise(whole[start : start + n], near, np.float32(center - near), factor, x)
            w = np.float32(columns[WEIGHTS, j])
            s, t = np.float32(0.0), np.float32(0.0)
            for i in range(n):
                d = x[i]
                z[i] += w * d
                m = own[i] * d
                s += m
                t += m * d
            columns[FIRST, j] += s
            columns[SECOND, j] += t
        for i in range(n):
            plain[n_dense * RUN + i] = np.float32(1.0)
            margin[start + i] = z[i] + offset[start + i]

        if loss == LOGISTIC:
            for i in range(n):
                zz, y, o = margin[start + i], label[start + i], weight[start + i]
                e = exp_below(-abs(zz))
                inverse = 1.0 / (1.0 + e)
                g[i] = o * ((1.0 if zz >= 0.0 else e) * inverse - y)
                c[i] = o * e * inverse * inverse
        else:
            for i in range(n):
                zz, y, o = margin[start + i], label[start + i], weight[start + i]
                g[i] = o * gradient(loss, a, 0.0, offset[start + i] if from_zero else zz, y)
                c[i] = o * curvature(loss, a, 0.0, zz, y)
        for i in range(n):
            bend += c[i]
            noise += g[i] * g[i] / max(weight[start + i], 1e-300)
        if loss == HUBER:
            for i in range(n):
                zz, y, o = margin[start + i], label[start + i], weight[start + i]
                c[i] += FLOOR * o * majoriser(loss, a, 0.0, zz, y)
        for i in range(n):
            slope[i] = np.float32(g[i])
            curved[i] = np.float32(c[i])
        for i in range(n, padded):
            curved[i] = np.float32(0.0)
        for j in range(n_dense + 1):
            x = plain[j * RUN : j * RUN + padded]
            scaled = weighted[j * RUN : j * RUN + padded]
            s = np.float32(0.0)
            for i in range(n):
                s += slope[i] * x[i]
            columns[SLOPE, j] += s
            for i in range(padded):
                scaled[i] = curved[i] * x[i]
        for near_q in range(0, width, NEAR):
            for p in range(near_q, width, DOWN):
                for q in range(near_q, min(near_q + NEAR, p + DOWN), ACROSS):
                    add_column_products(
                        plain, weighted, p * RUN, q * RUN, RUN, padded, flat, p * width + q, width
                    )
    return noise, bend, seen
