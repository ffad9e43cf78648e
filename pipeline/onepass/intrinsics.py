"""Operations for compiled loops that numba cannot express: prefetches, shuffles, register tiles.

How to read this module
-----------------------
numba translates a compiled Python function into the intermediate representation (IR) of LLVM, which
LLVM turns into machine code. An `intrinsic` adds instructions to that IR by hand. Its outer
function runs when numba infers types: it receives the numba type of each argument and returns a
signature and a function `make`. `make` runs once for each compiled call. It receives a `builder`,
and each call of the builder's methods appends one instruction to the IR. So the Python code below
does not compute anything itself: a Python loop in `make` writes its body out several times, and
`cgutils.for_range` writes a loop that runs later. The result of a builder's method is a handle of
the value that the instruction will have.

These methods occur below:

- ``gep`` ("get element pointer"): the address of an element of an array
- ``bitcast``: the same address as a pointer to another type, such as a vector of four floats
- ``load``, ``store``: read or write what a pointer points to; `align` promises the alignment in
  bytes, and the alignment of one number is all that an arbitrary place of an array has
- ``shuffle_vector``: a vector of chosen elements of two vectors; indices count on from the first to
  the second
- ``fmul``, ``fadd``, ``fpext``: multiply, add, and convert single to double precision, element by
  element; the flag ``contract`` allows one fused multiply-add for both

See https://numba.readthedocs.io/en/stable/extending/low-level.html for intrinsics, and
https://llvm.org/docs/LangRef.html for the instructions.

Every array argument is flat and contiguous; a place in it is an int64 or uint64 index. No index is
checked against the length of its array.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

TALL, WIDE = 8, 16
"""Rows and columns of the tile of sums that `add_products` computes.

A processor with AVX2 has 16 registers of 32 bytes. They hold the 8 x 16 sums in single precision.
"""

HAS_MANY_REGISTERS = bool(get_host_cpu_features().get("avx512f"))
"""Whether the processor has 32 registers of 64 bytes, enough for tiles of twice as many columns."""

_FLOAT, _INDEX, _BYTE = ir.FloatType(), ir.IntType(32), ir.IntType(8)


def data_of(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Return the pointer to the first element of an array argument."""
    return context.make_array(array_type)(context, builder, array).data


def element(builder: Any, data: Any, place: Any, of_type: Any) -> Any:
    """Return the address of an element, as a pointer to `of_type`."""
    return builder.bitcast(builder.gep(data, [place]), of_type.as_pointer())


def shuffled_of(builder: Any, one: Any, other: Any, lanes: list[int]) -> Any:
    """Return the elements `lanes` of two vectors; the second one's follow the first one's."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INDEX, len(lanes)), lanes))


@intrinsic
def _address_as_pointer(typing_context: Any, address: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), make


@intrinsic
def _prefetched(typing_context: Any, array: Any, place: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_of(context, builder, signature.args[0], arguments[0])
        function = _declared(
            builder.module,
            ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _INDEX, _INDEX, _INDEX]),
            "llvm.prefetch.p0",
        )
        to_write, is_kept, is_data = (ir.Constant(_INDEX, value) for value in (1, 3, 1))
        address = element(builder, data, arguments[1], _BYTE)
        builder.call(function, [address, to_write, is_kept, is_data])
        return context.get_dummy_value()

    return types.void(array, place), make


@intrinsic
def _stored_square(
    typing_context: Any, out: Any, a: Any, b: Any, c: Any, d: Any, tile: Any, place: Any, step: Any
) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *spots, tile, place, step = arguments[1:]
        vector = ir.VectorType(_FLOAT, 4)
        source = data_of(context, builder, signature.args[5], tile)
        sink = data_of(context, builder, signature.args[0], arguments[0])

        def column(number: int) -> Any:
            at = builder.add(place, builder.mul(step, ir.Constant(step.type, number)))
            return builder.load(element(builder, source, at, vector), align=4)

        def shuffled(one: Any, other: Any, *lanes: int) -> Any:
            return shuffled_of(builder, one, other, list(lanes))

        # Columns a, b, c, d of four rows. First a and b are interleaved, and c and d:
        # (a0 b0 a1 b1), (a2 b2 a3 b3), (c0 d0 c1 d1), (c2 d2 c3 d3). Then halves of these are
        # joined to rows: (a0 b0 c0 d0), (a1 b1 c1 d1), ...
        one, two, three, four = (column(number) for number in range(4))
        ab_low, ab_high = shuffled(one, two, 0, 4, 1, 5), shuffled(one, two, 2, 6, 3, 7)
        cd_low, cd_high = shuffled(three, four, 0, 4, 1, 5), shuffled(three, four, 2, 6, 3, 7)
        rows = [
            shuffled(ab_low, cd_low, 0, 1, 4, 5),
            shuffled(ab_low, cd_low, 2, 3, 6, 7),
            shuffled(ab_high, cd_high, 0, 1, 4, 5),
            shuffled(ab_high, cd_high, 2, 3, 6, 7),
        ]
        for spot, row in zip(spots, rows, strict=True):
            builder.store(row, element(builder, sink, spot, vector), align=4)
        return context.get_dummy_value()

    return types.void(out, a, b, c, d, tile, place, step), make


def _tile_adder(wide: int) -> Any:
    """Return the intrinsic that adds a tile of `TALL` x `wide` sums of products."""

    @intrinsic
    def added(
        typing_context: Any, one: Any, other: Any, place: Any, place_2: Any, step: Any, n: Any,
        out: Any, spot: Any, out_step: Any,
    ) -> Any:  # fmt: skip
        def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            one, other, place, place_2, step, n, out, spot, out_step = arguments
            left, right, sink = (
                data_of(context, builder, signature.args[i], array)
                for i, array in ((0, one), (1, other), (6, out))
            )
            sums = _zero_sums(builder, wide)
            with cgutils.for_range(builder, n) as loop:
                row = builder.mul(loop.index, step)
                _add_row(builder, sums, left, builder.add(place, row),
                         right, builder.add(place_2, row), wide)  # fmt: skip
            _add_to_matrix(builder, sums, sink, spot, out_step, wide)
            return context.get_dummy_value()

        return types.void(one, other, place, place_2, step, n, out, spot, out_step), make

    return added


def _zero_sums(builder: Any, wide: int) -> list[Any]:
    """Reserve a variable for each row of the tile, and set it to zero.

    Nothing takes the address of these variables, so LLVM's pass "mem2reg" makes registers of them.
    """
    zeros = ir.Constant(ir.VectorType(_FLOAT, wide), [0.0] * wide)
    sums = [reserved(builder, zeros) for _ in range(TALL)]
    # numba reserves and sets them where the function begins; the tile may be within a loop.
    for sum_ in sums:
        builder.store(zeros, sum_)
    return sums


def _add_row(
    builder: Any, sums: list[Any], left: Any, place: Any, right: Any, place_2: Any, wide: int
) -> None:
    """Add the products of one row: `TALL` numbers of one array times `wide` of the other."""
    vector = ir.VectorType(_FLOAT, wide)
    across = builder.load(element(builder, right, place_2, vector), align=4)
    for number, sum_ in enumerate(sums):
        at = builder.add(place, ir.Constant(place.type, number))
        down = builder.load(builder.gep(left, [at]))
        # Copy the number into all elements of a vector: put it first, then choose element 0 often.
        spread = builder.insert_element(
            ir.Constant(vector, ir.Undefined), down, ir.Constant(_INDEX, 0)
        )
        spread = shuffled_of(builder, spread, spread, [0] * wide)
        product = builder.fmul(spread, across, flags=("contract",))
        total = builder.fadd(builder.load(sum_), product, flags=("contract",))
        builder.store(total, sum_)


def _add_to_matrix(
    builder: Any, sums: list[Any], sink: Any, spot: Any, out_step: Any, wide: int
) -> None:
    """Add the tile, in double precision, to the matrix."""
    doubles = ir.VectorType(ir.DoubleType(), wide)
    for number, sum_ in enumerate(sums):
        at = builder.mul(out_step, ir.Constant(out_step.type, number))
        target = element(builder, sink, builder.add(spot, at), doubles)
        more = builder.fpext(builder.load(sum_), doubles)
        builder.store(builder.fadd(builder.load(target, align=8), more), target, align=8)


# numba and llvmlite have no type annotations; `Any` also lets compiled functions call intrinsics.
_declared: Any = cgutils.get_or_insert_function
reserved: Any = cgutils.alloca_once_value

pointer: Any = _address_as_pointer
"""``pointer(address)``: an address, uint64, as a pointer for `numba.carray`."""

prefetch: Any = _prefetched
"""``prefetch(array, place)``: ask for the cache line of an element, to write to it, and go on
without waiting for it."""

store_square: Any = _stored_square
"""``store_square(out, a, b, c, d, tile, place, step)``: transpose four by four float32.

Parameters
----------
out
    Array to write to.
a, b, c, d
    Places in `out` where the four rows of four numbers begin.
tile
    Array to read.
place
    Place in `tile` of the first of four columns of four numbers.
step
    Distance in `tile` from one column to the next.
"""

add_products: Any = _tile_adder(WIDE)
"""``add_products(one, other, place, place_2, step, n, out, spot, out_step)``: add a tile of sums.

For `TALL` columns j of one float32 matrix and `WIDE` columns k of another, add the sum over rows of
``one[row, j] * other[row, k]`` to a tile of a float64 matrix. The sums stay in registers, in single
precision, until the last row.

Parameters
----------
one, other
    The matrices, row by row.
place, place_2
    Places of the first column of each, in the first row.
step
    Length of a row.
n
    Number of rows.
out
    Matrix of the sums, row by row.
spot
    Place in `out` of the tile's first number.
out_step
    Length of a row of `out`.
"""

add_products_twice: Any = _tile_adder(2 * WIDE)
"""Like `add_products`, for twice as many columns of the other matrix."""
