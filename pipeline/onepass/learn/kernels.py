"""Compiled loops over rows: moments, standardisation, margins, Gram matrices."""

from __future__ import annotations

import numpy as np

from onepass.block import Float32Array, FloatArray, RealArray
from onepass.intrinsics import HAS_MANY_REGISTERS, TALL, WIDE, add_products, add_products_twice
from onepass.jit import compiled, inlined, reordered

RUN = 256
"""Rows whose products are summed in single precision before they are added in double precision."""


@compiled
def moments(x: Float32Array, weight: FloatArray, mean: FloatArray, m2: FloatArray) -> float:
    """Compute each column's weighted mean and sum of squares about it; return the sum of weights.

    Parameters
    ----------
    mean, m2
        Outputs, shape (n_columns,).
    """
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
    """Add each column's weighted sums of ``x - shift`` and its square; return the sum of weights.

    One pass over the rows gives both sums. Moments that are computed from them are accurate where
    the shift is close to the mean.

    Parameters
    ----------
    first, second
        Sums to add to, shape (n_columns,).
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
    """Write ``(x - center) / scale`` and a last column of ones, in the precision of `out`."""
    factor = 1.0 / scale
    for i in range(len(x)):
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - center[j]) * factor[j]
        out[i, x.shape[1]] = 1.0


@reordered
def dense_margins(x: Float32Array, w: FloatArray, out: FloatArray) -> None:
    """Write the margins of rows.

    Parameters
    ----------
    w
        Weights, shape (n_outputs, at least n_dense + 1), with the intercept at n_dense.
    out
        Output, shape (n_rows, n_outputs).
    """
    n_dense = x.shape[1]
    for i in range(len(x)):
        for o in range(len(w)):
            total = w[o, n_dense]
            for j in range(n_dense):
                total += x[i, j] * w[o, j]
            out[i, o] = total


def padded(width: int, multiple: int) -> int:
    """Return the least multiple of `multiple` that is at least `width`."""
    return -(-width // multiple) * multiple


@inlined
def add_products_of(
    one: Float32Array, other: Float32Array, n: int, width: int, total: FloatArray
) -> None:
    """Add the sums of products of columns to the lower triangle of a matrix.

    Parameters
    ----------
    one, other
        Matrices of `n` rows and `width` columns, flat, row by row.
    width
        A multiple of `WIDE`.
    total
        Matrix to add to, flat; tiles on its diagonal reach into the upper triangle.
    """
    for p in range(0, width, TALL):
        q = 0
        while HAS_MANY_REGISTERS and q + WIDE <= p:
            add_products_twice(one, other, p, q, width, n, total, p * width + q, width)
            q += 2 * WIDE
        while q <= p:
            add_products(one, other, p, q, width, n, total, p * width + q, width)
            q += WIDE


@reordered
def add_gram(x: Float32Array, c: FloatArray, total: FloatArray) -> None:
    """Add X' diag(c) X to the lower triangle of a matrix.

    Products are summed in single precision over `RUN` rows, few enough that these rows stay in the
    first cache. ``benchmarks/gram.py`` compares the speed with that of BLAS.

    Parameters
    ----------
    x
        Shape (n_rows, width).
    total
        Matrix to add to, width and height ``padded(width, WIDE)``.
    """
    n_rows, width = x.shape
    stride = total.shape[0]
    flat = total.reshape(total.size)
    plain, weighted = np.zeros(RUN * stride, np.float32), np.zeros(RUN * stride, np.float32)
    for start in range(0, n_rows, RUN):
        n = min(RUN, n_rows - start)
        for i in range(n):
            own, at = np.float32(c[start + i]), i * stride
            for j in range(width):
                plain[at + j] = x[start + i, j]
                weighted[at + j] = own * x[start + i, j]
        add_products_of(plain, weighted, n, stride, flat)
