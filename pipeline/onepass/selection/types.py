"""Values of a condition in the terms of the columns that they are compared with."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.types as pt

from onepass.selection.moments import parse_moment
from onepass.selection.tree import Moment, Value

Kind: TypeAlias = Literal["integer", "decimal", "float", "moment", "text", "bool", "null", "other"]

Bare: TypeAlias = Fraction | float | bytes | bool
"""A value in terms of a column: a number, seconds since 1970, a float, UTF-8 or a truth value."""

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class CannotCompare(ValueError):
    """Raised for a column whose type cannot be compared with a value of the condition."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(text)
        self.column = column


def kind_of(dtype: pa.DataType) -> Kind:
    """Return how values of an Arrow type are compared."""
    if pt.is_dictionary(dtype):
        return kind_of(dtype.value_type)
    tests: tuple[tuple[Kind, tuple[object, ...]], ...] = (
        ("integer", (pt.is_integer,)),
        ("decimal", (pt.is_decimal,)),
        ("float", (pt.is_floating,)),
        ("moment", (pt.is_date, pt.is_timestamp)),
        ("text", (pt.is_string, pt.is_large_string, pt.is_string_view)),
        ("bool", (pt.is_boolean,)),
        ("null", (pt.is_null,)),
    )
    for kind, are in tests:
        if any(test(dtype) for test in are):  # type: ignore[operator]
            return kind
    return "other"


def per_second(dtype: pa.DataType) -> Fraction:
    """Return how many units of a column of dates or timestamps are a second."""
    if pt.is_date32(dtype):
        return Fraction(1, 86_400)
    return Fraction(_UNITS["ms"] if pt.is_date64(dtype) else _UNITS[dtype.unit])


def bare(value: Value, dtype: pa.DataType, column: str) -> Bare:
    """Return a value in the terms of a column.

    Numbers are exact, except for columns of floats: for these the value is rounded to the precision
    of the column, so that ``share = 0.1`` finds the rows in which 0.1 was stored.

    Raises
    ------
    CannotCompare
        If the type of the column does not go with the value.
    """
    kind = kind_of(dtype)
    match value:
        case bool() if kind == "bool":
            return value
        case Fraction() if kind in {"integer", "decimal"}:
            return value
        case Fraction() if kind == "float":
            return _rounded(float(value), dtype)
        case Moment() if kind == "moment":
            return value.seconds
        case str() if kind == "text":
            return value.encode()
        case str() if kind == "moment":
            moment = parse_moment(value)
            if moment is not None:
                return moment.seconds
            raise CannotCompare(
                column,
                f"a column of type {dtype} is compared with {value!r}, which is no date or time "
                "such as 2026-01-31 12:00:00",
            )
    quoted = "; text stands in single quotes" if kind == "text" else ""
    raise CannotCompare(
        column, f"a column of type {dtype} cannot be compared with {told(value)}{quoted}"
    )


def told(value: Value) -> str:
    """Return a value as a message names it, with its kind."""
    match value:
        case bool():
            return f"the truth value {str(value).lower()}"
        case Fraction():
            return f"the number {float(value):.15g}"
        case Moment():
            return f"the date {value.text}"
    return f"the text {value!r}"


def _rounded(value: float, dtype: pa.DataType) -> float:
    formats = {16: "e", 32: "f"}
    if dtype.bit_width not in formats:
        return value
    try:
        rounded: float = struct.unpack(f"<{formats[dtype.bit_width]}", struct.pack(
            f"<{formats[dtype.bit_width]}", value))[0]  # fmt: skip
    except OverflowError:
        # No value of the column is as large; the comparison is made in double precision.
        return value
    return rounded
