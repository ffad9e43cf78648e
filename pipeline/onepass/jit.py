"""Compile loops over rows: without the GIL, and kept on disk for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir  # type: ignore[import-untyped]
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_Function = TypeVar("_Function", bound=Callable[..., Any])


TALL, WIDE = 8, 16
"""Rows and columns of the blocks that `add_products` works out: as many as 16 registers of 32 bytes
hold."""

HAS_MANY_REGISTERS = bool(get_host_cpu_features().get("avx512f"))
"""Whether there are 32 of 64 bytes, for blocks of twice as many columns."""

_REORDERED = {"reassoc", "contract", "nsz", "arcp"}


def compiled(function: _Function) -> _Function:
    """Decorate a function for compilation by numba."""
    return _compiled(function, fastmath=False)


def reordered(function: _Function) -> _Function:
    """As `compiled`, but sums may be taken in another order, in vector registers.

    That makes a sum over 30 features four times as fast. The order is fixed by the compiler for a
    kind of processor, so the same machine gives the same bits; NaN and infinity stay what they are.
    """
    return _compiled(function, fastmath=_REORDERED)


def inlined(function: _Function) -> _Function:
    """As `reordered`, for a step of a loop: it becomes part of each caller.

    Without that, arrays are handed over with their counts of references, and the compiler does not
    see what is constant.
    """
    return _inlined(function, _REORDERED)


def inlined_as_written(function: _Function) -> _Function:
    """As `inlined`, for arithmetic that means what it says: ``(x + big) - big`` rounds x."""
    return _inlined(function, False)


def _inlined(function: _Function, fastmath: bool | set[str]) -> _Function:
    inline = njit(nogil=True, fastmath=fastmath, error_model="numpy", forceinline=True)
    return cast(_Function, inline(function))


def _compiled(function: _Function, *, fastmath: bool | set[str]) -> _Function:
    # Division by zero gives infinity: a check before each would keep it out of vector registers.
    try:
        result = njit(cache=True, nogil=True, fastmath=fastmath, error_model="numpy")(function)
    except RuntimeError:
        # Neither the package's folder nor the home can be written, as in many containers: compile
        # again in each process, which costs a few seconds at its start.
        result = njit(nogil=True, fastmath=fastmath, error_model="numpy")(function)
    return cast(_Function, result)


@intrinsic
def _address_as_pointer(typing_context: Any, address: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), make


@intrinsic
def _prefetched(typing_context: Any, array: Any, place: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.gep(found.data, [arguments[1]])
        byte = ir.PointerType(ir.IntType(8))
        number = ir.IntType(32)
        function = _declared(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0",
        )
        to_write, is_kept, is_data = (ir.Constant(number, value) for value in (1, 3, 1))
        builder.call(function, [builder.bitcast(pointer, byte), to_write, is_kept, is_data])
        return context.get_dummy_value()

    return types.void(array, place), make


@intrinsic
def _stored_square(
    typing_context: Any, out: Any, a: Any, b: Any, c: Any, d: Any, tile: Any, place: Any, step: Any
) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *spots, tile, place, step = arguments[1:]
        vector = ir.VectorType(ir.FloatType(), 4)
        source = context.make_array(signature.args[5])(context, builder, tile)
        sink = context.make_array(signature.args[0])(context, builder, arguments[0])

        def loaded(number: int) -> Any:
            at = builder.add(place, builder.mul(step, ir.Constant(step.type, number)))
            pointer = builder.gep(source.data, [at])
            return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=4)

        def shuffled(one: Any, other: Any, *lanes: int) -> Any:
            mask = ir.Constant(ir.VectorType(ir.IntType(32), 4), lanes)
            return builder.shuffle_vector(one, other, mask)

        one, two, three, four = (loaded(number) for number in range(4))
        low, high = shuffled(one, two, 0, 4, 1, 5), shuffled(one, two, 2, 6, 3, 7)
        low_2, high_2 = shuffled(three, four, 0, 4, 1, 5), shuffled(three, four, 2, 6, 3, 7)
        rows = [
            shuffled(low, low_2, 0, 1, 4, 5),
            shuffled(low, low_2, 2, 3, 6, 7),
            shuffled(high, high_2, 0, 1, 4, 5),
            shuffled(high, high_2, 2, 3, 6, 7),
        ]
        for spot, row in zip(spots, rows, strict=True):
            pointer = builder.gep(sink.data, [spot])
            builder.store(row, builder.bitcast(pointer, vector.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(out, a, b, c, d, tile, place, step), make


def _products_of(wide: int) -> Any:
    @intrinsic
    def added(
        typing_context: Any, one: Any, other: Any, place: Any, place_2: Any, step: Any, n: Any,
        out: Any, spot: Any, out_step: Any,
    ) -> Any:  # fmt: skip
        def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            one, other, place, place_2, step, n, out, spot, out_step = arguments
            vector = ir.VectorType(ir.FloatType(), wide)
            doubles = ir.VectorType(ir.DoubleType(), wide)
            left, right, sink = (
                context.make_array(signature.args[i])(context, builder, array).data
                for i, array in ((0, one), (1, other), (6, out))
            )
            zeros = ir.Constant(vector, [0.0] * wide)
            sums = [_reserved(builder, zeros) for _ in range(TALL)]
            for sum_ in sums:
                builder.store(zeros, sum_)
            with cgutils.for_range(builder, n) as loop:
                row = builder.mul(loop.index, step)
                pointer = builder.gep(right, [builder.add(place_2, row)])
                across = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=4)
                for number, sum_ in enumerate(sums):
                    at = builder.add(place, builder.add(row, ir.Constant(row.type, number)))
                    down = builder.load(builder.gep(left, [at]))
                    spread = builder.insert_element(
                        ir.Constant(vector, ir.Undefined), down, ir.Constant(ir.IntType(32), 0)
                    )
                    mask = ir.Constant(ir.VectorType(ir.IntType(32), wide), [0] * wide)
                    spread = builder.shuffle_vector(spread, spread, mask)
                    product = builder.fmul(spread, across, flags=("contract",))
                    total = builder.fadd(builder.load(sum_), product, flags=("contract",))
                    builder.store(total, sum_)
            for number, sum_ in enumerate(sums):
                at = builder.mul(out_step, ir.Constant(out_step.type, number))
                pointer = builder.gep(sink, [builder.add(spot, at)])
                pointer = builder.bitcast(pointer, doubles.as_pointer())
                total = builder.fadd(
                    builder.load(pointer, align=8), builder.fpext(builder.load(sum_), doubles)
                )
                builder.store(total, pointer, align=8)
            return context.get_dummy_value()

        return types.void(one, other, place, place_2, step, n, out, spot, out_step), make

    return added


_declared: Any = cgutils.get_or_insert_function
_reserved: Any = cgutils.alloca_once_value

pointer: Any = _address_as_pointer
"""In compiled code: an address as a pointer, for `numba.carray`."""

prefetch: Any = _prefetched
"""In compiled code: ask for the cache line of a place of a flat array, without waiting for it."""

store_square: Any = _stored_square
"""In compiled code: transpose four by four float32. Arguments: the flat array to write to, the four
places where a row of four begins; the flat array to read, the place of the first of its four
columns, and the distance from one column to the next."""

add_products: Any = _products_of(WIDE)
"""In compiled code: sums of products of the rows of two flat float32 arrays, `TALL` columns of one
by `WIDE` of the other, added to a block of a flat float64 array. They stay in registers meanwhile.
Arguments: the two arrays, the place of the first column in each, the length of a row and the number
of rows; the array of sums, the place where the block begins, and the length of its rows. Places and
lengths are int64."""

add_products_twice: Any = _products_of(2 * WIDE)
"""As `add_products`, for twice as many columns of the other array."""
