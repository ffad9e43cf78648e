"""One compiled pass of newton over a block: moments, margins, slope and curvature at once.

The pass reads each row from memory once; separate functions would read it six times, and take twice
as long. It works on runs of rows that stay in the first cache, in single precision except for sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import Block, Float32Array, FloatArray
from onepass.intrinsics import WIDE
from onepass.jit import APART, reordered
from onepass.learn.curvature import symmetric
from onepass.learn.kernels import RUN, add_products_of, padded
from onepass.learn.losses import Loss
from onepass.learn.newton.derivatives import derive, floor
from onepass.learn.newton.expansion import Expansion
from onepass.learn.pointwise import HUBER

_CENTER, _FACTOR, _WEIGHTS, _SHIFT, _FIRST, _SECOND, _SLOPE = range(7)
"""Rows of the matrix that holds one number of each kind for each feature."""
_N_KINDS = 7


@reordered
def _pass(
    loss: int,
    a: float,
    from_zero: bool,
    x: Float32Array,
    label: FloatArray,
    weight: FloatArray,
    counted: FloatArray,
    offset: FloatArray,
    columns: FloatArray,
    total: FloatArray,
    margin: FloatArray,
) -> tuple[float, float, float]:
    """Fill in sums by column, the curvature and the margins.

    Parameters
    ----------
    columns
        Inputs and outputs by feature, padded, shape (_N_KINDS, width).
    total
        Output: lower triangle of the curvature, shape (width, width).
    margin
        Output, shape (n_rows,).

    Returns
    -------
    Noise and bend, as in `Expansion`, and the sum of the weights `counted`.
    """
    n_rows, n_dense = x.shape
    width = total.shape[0]
    center, factor, w = columns[_CENTER], columns[_FACTOR], columns[_WEIGHTS]
    shift, first, second = columns[_SHIFT], columns[_FIRST], columns[_SECOND]
    slope, flat = columns[_SLOPE], total.reshape(total.size)
    single = np.zeros(width + APART, np.float32)[:width]
    raw = np.zeros(width + APART, np.float32)[:width]
    plain = np.zeros(RUN * width + APART, np.float32)
    weighted = np.zeros(RUN * width + APART, np.float32)
    g, c = np.zeros(RUN + APART), np.zeros(RUN + APART)
    noise = bend = seen = 0.0
    for j in range(width):
        single[j] = np.float32(w[j])
    for start in range(0, n_rows, RUN):
        n = min(RUN, n_rows - start)

        # Moments, standardised rows and their margins.
        for i in range(n):
            own, at = counted[start + i], i * width
            for j in range(n_dense):
                raw[j] = x[start + i, j]
            for j in range(width):
                d = raw[j] - shift[j]
                first[j] += own * d
                second[j] += own * d * d
            for j in range(width):
                plain[at + j] = np.float32((raw[j] - center[j]) * factor[j])
            plain[at + n_dense] = np.float32(1.0)
            z = np.float32(0.0)
            for j in range(width):
                z += plain[at + j] * single[j]
            margin[start + i] = z + offset[start + i]
            seen += own

        derive(loss, a, from_zero, start, n, label, weight, offset, margin, g, c)
        for i in range(n):
            bend += c[i]
            noise += g[i] * g[i] / max(weight[start + i], 1e-300)
        if loss == HUBER:
            floor(a, start, n, label, weight, margin, c)

        # Slope and curvature.
        for i in range(n):
            own, at, curved = g[i], i * width, np.float32(c[i])
            for j in range(width):
                slope[j] += own * plain[at + j]
            for j in range(width):
                weighted[at + j] = curved * plain[at + j]
        add_products_of(plain, weighted, n, width, flat)
    return noise, bend, seen


@dataclass(frozen=True, slots=True)
class Columns:
    """Numbers of each feature that a pass reads, shape (n_features,) except for the weights."""

    center: FloatArray
    scale: FloatArray
    mean: FloatArray
    """Running mean, about which moments are summed."""
    w: FloatArray
    """Weights on standardised features, intercept last, shape (n_features + 1,)."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Results of a pass."""

    margin: FloatArray
    """Shape (n_rows,), offset included."""
    expansion: Expansion
    first: FloatArray
    """Weighted sum of each feature's distances from its running mean."""
    second: FloatArray
    """Weighted sum of their squares."""
    weight: float
    """Sum of the weights of these sums."""


def expansion_pass(
    loss: Loss,
    columns: Columns,
    block: Block,
    counted: FloatArray,
    offset: FloatArray,
    *,
    from_zero: bool = False,
) -> Passed:
    """Expand a loss of one margin and without a kink around weights, on standardised rows.

    Parameters
    ----------
    block
        Rows with raw features, and the weight of each row in the loss.
    counted
        Weight of each row in the moments of the features.
    offset
        Part of each margin that comes from elsewhere, shape (n_rows,).
    from_zero
        Whether to give the slope at weights of zero; for squared loss, whose curvature is the same
        everywhere.
    """
    n_dense = block.dense.shape[1]
    width = padded(n_dense + 1, WIDE)
    by_column = np.zeros((_N_KINDS, width + APART))
    by_column[_CENTER, :n_dense] = columns.center
    by_column[_FACTOR, :n_dense] = 1.0 / columns.scale
    by_column[_SHIFT, :n_dense] = columns.mean
    by_column[_WEIGHTS, : n_dense + 1] = columns.w
    total, margin = np.zeros((width, width)), np.empty(block.n_rows)
    noise, bend, seen = _pass(
        loss.code, loss.shape, from_zero, np.ascontiguousarray(block.dense), block.label,
        block.weight, counted, offset, by_column, total, margin,
    )  # fmt: skip
    expansion = Expansion(
        by_column[_SLOPE, : n_dense + 1],
        symmetric(total, n_dense + 1),
        0.0 if loss.has_unit_dispersion else noise,
        bend,
    )
    return Passed(
        margin, expansion, by_column[_FIRST, :n_dense], by_column[_SECOND, :n_dense], seen
    )
