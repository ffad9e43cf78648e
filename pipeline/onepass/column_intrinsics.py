"""Operations for compiled loops over columns that numba cannot express.

`onepass.intrinsics` explains how such a module is read. The matrices here lie column by column, so
a vector register holds one feature of several rows. The products of two columns need no transposed
copy then: registers add up products, row by row, and are summed at the end.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from onepass.intrinsics import HAS_MANY_REGISTERS, data_of, element, reserved, shuffled_of

LANES = 16 if HAS_MANY_REGISTERS else 8
"""Rows that one register holds."""

DOWN, ACROSS = 4, LANES // 4
"""Columns of either matrix whose products are summed at once.

They have `LANES` sums, a register each, so that half of the registers are left for the columns."""

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


@intrinsic
def _products_added(
    typing_context: Any, one: Any, other: Any, place: Any, place_2: Any, step: Any, n: Any,
    out: Any, spot: Any, out_step: Any,
) -> Any:  # fmt: skip
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        one, other, place, place_2, step, n, out, spot, out_step = arguments
        left, right, sink = (
            data_of(context, builder, signature.args[i], array)
            for i, array in ((0, one), (1, other), (6, out))
        )
        zeros = ir.Constant(_VECTOR, [0.0] * LANES)
        sums = [reserved(builder, zeros) for _ in range(LANES)]
        for sum_ in sums:
            builder.store(zeros, sum_)
        with cgutils.for_range_slice(
            builder, ir.Constant(n.type, 0), n, ir.Constant(n.type, LANES)
        ) as (row, _):
            down = _loaded(builder, left, builder.add(place, row), step, DOWN)
            across = _loaded(builder, right, builder.add(place_2, row), step, ACROSS)
            for number, sum_ in enumerate(sums):
                product = builder.fmul(
                    down[number // ACROSS], across[number % ACROSS], flags=("contract",)
                )
                builder.store(builder.fadd(builder.load(sum_), product, flags=("contract",)), sum_)
        total = _sums_of(builder, [builder.load(sum_) for sum_ in sums])
        _add_to_matrix(builder, total, sink, spot, out_step)
        return context.get_dummy_value()

    return types.void(one, other, place, place_2, step, n, out, spot, out_step), make


def _loaded(builder: Any, data: Any, place: Any, step: Any, n: int) -> list[Any]:
    """Load `LANES` rows of each of `n` neighbouring columns."""
    places = [builder.add(place, builder.mul(step, ir.Constant(step.type, i))) for i in range(n)]
    return [builder.load(element(builder, data, at, _VECTOR), align=4) for at in places]


def _sums_of(builder: Any, vectors: list[Any]) -> Any:
    """Return a vector of the sum of each of `LANES` vectors."""
    # Neighbours of two vectors are added to one vector of half sums, until one vector is left.
    even, odd = list(range(0, 2 * LANES, 2)), list(range(1, 2 * LANES, 2))
    while len(vectors) > 1:
        vectors = [
            builder.fadd(shuffled_of(builder, a, b, even), shuffled_of(builder, a, b, odd))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]


def _add_to_matrix(builder: Any, total: Any, sink: Any, spot: Any, out_step: Any) -> None:
    """Add the sums, `ACROSS` of which belong to each row, to a matrix in double precision."""
    doubles = ir.VectorType(ir.DoubleType(), ACROSS)
    for number in range(DOWN):
        lanes = list(range(number * ACROSS, (number + 1) * ACROSS))
        more = builder.fpext(shuffled_of(builder, total, total, lanes), doubles)
        at = builder.mul(out_step, ir.Constant(out_step.type, number))
        target = element(builder, sink, builder.add(spot, at), doubles)
        builder.store(builder.fadd(builder.load(target, align=8), more), target, align=8)


add_column_products: Any = _products_added
"""``add_column_products(one, other, place, place_2, step, n, out, spot, out_step)``: add sums.

For `DOWN` columns j of one float32 matrix and `ACROSS` columns k of another, add the sum over rows
of ``one[j, row] * other[k, row]`` to a part of a float64 matrix. The sums stay in registers, in
single precision, until the last row.

Parameters
----------
one, other
    The matrices, column by column.
place, place_2
    Places of the first number of the first column of each.
step
    Distance from one column to the next.
n
    Number of rows, a multiple of `LANES`.
out
    Matrix of the sums, row by row.
spot
    Place in `out` of the first sum.
out_step
    Length of a row of `out`.
"""
