"""The pass of newton over a block, column by column: moments, margins, slope and curvature at once.

It computes what `expansion_pass` does, in half the time or less. Each run of rows is transposed in
the first cache, so that a vector register holds one feature of several rows. No loop over features
is cut short then where there are few of them, sums over rows stay in registers, and the products of
columns need no copies of a number. Within a run all numbers are singles; sums of runs are doubles.
"""

from __future__ import annotations

import numpy as np

from onepass.block import Block, Float32Array, FloatArray
from onepass.column_intrinsics import ACROSS, DOWN, LANES, add_column_products
from onepass.intrinsics import prefetch, store_square
from onepass.jit import APART, compiled, inlined, inlined_as_written, reordered
from onepass.learn.curvature import symmetric
from onepass.learn.kernels import RUN, padded
from onepass.learn.losses import Loss
from onepass.learn.newton.derivatives import derive, floor
from onepass.learn.newton.expansion import Expansion
from onepass.learn.newton.expansion_pass import Columns, Passed
from onepass.learn.pointwise import HUBER

_NEAR = 24
"""Columns that stay in the first cache while all others are multiplied by them, 1 KiB each."""

_LARGE = 1e30
"""Numbers beyond this may have no square in single precision, nor their inverses."""

_CENTER, _FACTOR, _WEIGHTS, _FIRST, _SECOND, _SLOPE = range(6)
"""Rows of the matrix that holds one number of each kind for each feature."""
_N_KINDS = 6

_STEP = RUN + 16
"""Distance between columns of a run; a power of 2 would push them out of the cache by turns."""


_PER_LINE = 16
"""Numbers of 4 bytes in a cache line."""


_AHEAD = 32
"""Rows between those that are read and those that are requested from memory."""


@inlined
def _transpose(flat: Float32Array, at: int, n: int, n_dense: int, plain: Float32Array) -> None:
    """Write `n` rows, the first of which begins at a place of `flat`, as columns."""
    if n < 4 or n_dense < 4:
        for i in range(n):
            for f in range(n_dense):
                plain[f * _STEP + i] = flat[at + i * n_dense + f]
        return
    for i in range(0, n, 4):
        # The last square in either direction overlaps the one before.
        row = min(i, n - 4)
        beyond = at + (row + _AHEAD) * n_dense
        for place in range(beyond, beyond + 4 * n_dense, _PER_LINE):
            prefetch(flat, np.uint64(place))
        for f in range(0, n_dense, 4):
            feature = min(f, n_dense - 4)
            to = feature * _STEP + row
            store_square(
                plain,
                np.uint64(to),
                np.uint64(to + _STEP),
                np.uint64(to + 2 * _STEP),
                np.uint64(to + 3 * _STEP),
                flat,
                np.uint64(at + row * n_dense + feature),
                np.uint64(n_dense),
            )


@inlined_as_written
def _standardise(x: Float32Array, center: float, factor: float) -> None:
    """Replace x by ``(x - center) * factor``, as accurate as singles are."""
    # The nearest single to the center first: where x is close to it, that difference is exact.
    near = np.float32(center)
    rest, single = np.float32(center - near), np.float32(factor)
    for i in range(len(x)):
        x[i] = ((x[i] - near) - rest) * single


@compiled
def _standardise_extreme(x: Float32Array, center: float, factor: float) -> None:
    """Do the same in double precision, where the center or the factor is no single."""
    for i in range(len(x)):
        x[i] = np.float32((x[i] - center) * factor)


@compiled
def _add_extreme(x: Float32Array, own: Float32Array, kinds: FloatArray, j: int) -> None:
    """Add a column to the sums of its moments where squares are no singles."""
    for i in range(len(x)):
        kinds[_FIRST, j] += np.float64(own[i]) * np.float64(x[i])
        kinds[_SECOND, j] += np.float64(own[i]) * np.float64(x[i]) ** 2


@inlined
def _observe(
    x: Float32Array, j: int, kinds: FloatArray, own: Float32Array, z: Float32Array
) -> None:
    """Standardise feature `j`; add it to its moments, with weights `own`, and to the margins z."""
    center, factor = kinds[_CENTER, j], kinds[_FACTOR, j]
    if abs(center) < _LARGE and 1.0 / _LARGE < factor < _LARGE:
        _standardise(x, center, factor)
    else:
        _standardise_extreme(x, center, factor)
    w, first, second = np.float32(kinds[_WEIGHTS, j]), np.float32(0.0), np.float32(0.0)
    for i in range(len(x)):
        z[i] += w * x[i]
        weighted = own[i] * x[i]
        first += weighted
        second += weighted * x[i]
    if abs(first) < _LARGE and second < _LARGE:
        kinds[_FIRST, j] += first
        kinds[_SECOND, j] += second
    else:
        _add_extreme(x, own, kinds, j)


@inlined
def _add_products(plain: Float32Array, weighted: Float32Array, n: int, total: FloatArray) -> None:
    """Add the products of columns to the lower triangle; tiles reach into the upper one."""
    width, flat = total.shape[0], total.reshape(total.size)
    for near in range(0, width, _NEAR):
        for p in range(near, width, DOWN):
            for q in range(near, min(near + _NEAR, p + DOWN), ACROSS):
                add_column_products(
                    plain, weighted, p * _STEP, q * _STEP, _STEP, n, flat, p * width + q, width
                )


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
    kinds: FloatArray,
    plain: Float32Array,
    weighted: Float32Array,
    total: FloatArray,
    margin: FloatArray,
) -> tuple[float, float, float]:
    """Fill in sums by column, the curvature and the margins.

    Parameters
    ----------
    kinds
        Inputs and outputs by feature, the intercept last, shape (_N_KINDS, n_dense + 1).
    plain, weighted
        Zeros, ``_STEP`` for each column of a run: standardised, and multiplied by the curvature.
    total
        Output: lower triangle of the curvature, shape (width, width).
    margin
        Output, shape (n_rows,).

    Returns
    -------
    Noise and bend, as in `Expansion`, and the sum of the weights `counted`.
    """
    n_rows, n_dense = x.shape
    rows = x.reshape(x.size)
    own, z = np.zeros(RUN + APART, np.float32), np.zeros(RUN + APART, np.float32)
    slope, curved = np.zeros(RUN + APART, np.float32), np.zeros(RUN + APART, np.float32)
    g, c = np.zeros(RUN + APART), np.zeros(RUN + APART)
    noise = bend = seen = 0.0
    plain[n_dense * _STEP : n_dense * _STEP + RUN] = 1.0
    for start in range(0, n_rows, RUN):
        n = min(RUN, n_rows - start)

        # Standardised columns, their moments and margins.
        for i in range(n):
            own[i] = np.float32(counted[start + i])
            z[i] = np.float32(kinds[_WEIGHTS, n_dense])
            seen += counted[start + i]
        _transpose(rows, start * n_dense, n, n_dense, plain)
        for j in range(n_dense):
            _observe(plain[j * _STEP : j * _STEP + n], j, kinds, own, z)
        for i in range(n):
            margin[start + i] = z[i] + offset[start + i]

        derive(loss, a, from_zero, start, n, label, weight, offset, margin, g, c)
        for i in range(n):
            bend += c[i]
            noise += g[i] * g[i] / max(weight[start + i], 1e-300)
        if loss == HUBER:
            floor(a, start, n, label, weight, margin, c)

        # Slope and curvature. Rows after the last one have a curvature of 0.
        slope[:n], curved[:n] = g[:n], c[:n]
        slope[n:], curved[n:] = 0.0, 0.0
        for j in range(n_dense + 1):
            at, total_slope = j * _STEP, np.float32(0.0)
            for i in range(RUN):
                total_slope += slope[i] * plain[at + i]
                weighted[at + i] = curved[i] * plain[at + i]
            kinds[_SLOPE, j] += total_slope
        _add_products(plain, weighted, -(-n // LANES) * LANES, total)
    return noise, bend, seen


def column_pass(
    loss: Loss,
    columns: Columns,
    block: Block,
    counted: FloatArray,
    offset: FloatArray,
    *,
    from_zero: bool = False,
) -> Passed:
    """Expand a loss of one margin and without a kink around weights; see `expansion_pass`."""
    n_dense = block.dense.shape[1]
    width = padded(n_dense + 1, DOWN)
    kinds = np.zeros((_N_KINDS, n_dense + 1))
    kinds[_CENTER, :n_dense] = columns.center
    kinds[_FACTOR, :n_dense] = 1.0 / columns.scale
    kinds[_WEIGHTS] = columns.w
    total, margin = np.zeros((width, width)), np.empty(block.n_rows)
    noise, bend, seen = _pass(
        loss.code, loss.shape, from_zero, np.ascontiguousarray(block.dense), block.label,
        block.weight, counted, offset, kinds,
        _zeros(_STEP * width), _zeros(_STEP * width), total, margin,
    )  # fmt: skip
    expansion = Expansion(
        kinds[_SLOPE],
        symmetric(total, n_dense + 1),
        0.0 if loss.has_unit_dispersion else noise,
        bend,
    )
    # Moments were summed about the center, on standardised features.
    first, second = kinds[_FIRST, :n_dense] * columns.scale, kinds[_SECOND, :n_dense]
    away = columns.center - columns.mean
    return Passed(
        margin,
        expansion,
        first + seen * away,
        second * np.square(columns.scale) + 2 * away * first + seen * np.square(away),
        seen,
    )


def _zeros(n: int) -> Float32Array:
    """Return zeros that begin at a cache line; registers that cross two lines load half as fast."""
    spare = np.zeros(n + APART + _PER_LINE, np.float32)
    return spare[-(spare.ctypes.data // spare.itemsize) % _PER_LINE :]
