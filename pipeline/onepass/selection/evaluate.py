"""Evaluate a condition on rows, by pyarrow's kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from onepass.selection.folders import folder_holds, regex_of
from onepass.selection.tree import And, Compare, IsNull, Leaf, Like, Node, Not, OneOf, Or
from onepass.selection.types import Bare, CannotCompare, bare, kind_of, per_second

Truth: TypeAlias = Any
"""A boolean array of the rows, or a boolean scalar for all of them; null is unknown."""


def holds(node: Node, rows: pa.RecordBatch, folders: Mapping[str, str | None]) -> pa.BooleanArray:
    """Return whether each row meets a condition; null where that is unknown.

    Parameters
    ----------
    rows
        Rows of one file. A column that they lack is null.
    folders
        Values of the key=value folders that the file lies in; they win over columns of its own.

    Raises
    ------
    CannotCompare
        If a column has a type that cannot be compared as the condition does.
    """
    found = _truth(node, rows, folders)
    if isinstance(found, pa.Scalar):
        return pa.repeat(found, rows.num_rows)
    return found


def check_type(node: Leaf, dtype: pa.DataType) -> None:
    """Raise `CannotCompare` if a comparison does not go with the type of its column."""
    _leaf(node, pa.nulls(0).cast(dtype) if kind_of(dtype) != "other" else pa.nulls(0, dtype))


def _truth(node: Node, rows: pa.RecordBatch, folders: Mapping[str, str | None]) -> Truth:
    match node:
        case And():
            return reduce(pc.and_kleene, (_truth(one, rows, folders) for one in node.parts))
        case Or():
            return reduce(pc.or_kleene, (_truth(one, rows, folders) for one in node.parts))
        case Not():
            return pc.invert(_truth(node.part, rows, folders))
    if node.column in folders:
        return pa.scalar(folder_holds(node, folders[node.column]), pa.bool_())
    place = rows.schema.get_field_index(node.column)
    if place < 0:
        return pa.scalar(True if isinstance(node, IsNull) else None, pa.bool_())
    return _leaf(node, rows.column(place))


def _leaf(node: Leaf, values: pa.Array) -> pa.BooleanArray:
    if pt.is_dictionary(values.type):
        # Each distinct value is looked at once.
        found = _leaf(node, values.dictionary).take(values.indices)
        return pc.fill_null(found, True) if isinstance(node, IsNull) else found
    kind = kind_of(values.type)
    if isinstance(node, IsNull):
        return pc.is_null(values, nan_is_null=kind == "float")
    if kind == "null" or (len(values) and values.null_count == len(values)):
        # The type of a column without a value means nothing.
        return pa.nulls(len(values), pa.bool_())
    if isinstance(node, Like):
        return _like(node, values)
    wanted = node.values if isinstance(node, OneOf) else (node.value,)
    found = [bare(one, values.type, node.column) for one in wanted]
    if kind == "float":
        values = _without_nan(values)
    elif kind == "text" and pt.is_string_view(values.type):
        values = values.cast(pa.large_string())
    if isinstance(node, OneOf):
        return _one_of(values, found)
    return _compare(node, values, found[0])


def _like(node: Like, values: pa.Array) -> pa.BooleanArray:
    if kind_of(values.type) != "text":
        raise CannotCompare(
            node.column, f"like is for text, and this is a column of type {values.type}"
        )
    if pt.is_string_view(values.type):
        values = values.cast(pa.large_string())
    prefix = node.pattern.removesuffix("%")
    if prefix != node.pattern and not set(prefix) & {"%", "_"}:
        return pc.starts_with(values, prefix)
    # pyarrow's match_like gives a backslash a meaning that it does not have in SQL.
    return pc.match_substring_regex(values, rf"(?s)\A{regex_of(node.pattern)}\z")


def _without_nan(values: pa.Array) -> pa.Array:
    if pt.is_float16(values.type):
        values = values.cast(pa.float32())
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def _one_of(values: pa.Array, wanted: list[Bare]) -> pa.BooleanArray:
    kind = kind_of(values.type)
    if kind == "float":
        # Zeros of both signs are equal, which a set does not know.
        found = pa.repeat(pa.scalar(False), len(values))
        for one in wanted:
            found = pc.or_kleene(found, pc.equal(values, pa.scalar(one, pa.float64())))
        return found
    if kind in {"integer", "decimal", "moment"}:
        values, unit, least, greatest = _exact(values)
        exact = [_fraction(one) * unit for one in wanted]
        options = [int(one) for one in exact if one.denominator == 1 and least <= one <= greatest]
        members = pa.array([_as_scalar(one, values.type).as_py() for one in options], values.type)
    elif kind == "text":
        members = pa.array([bytes(one).decode() for one in wanted], values.type)  # type: ignore[arg-type]
    else:
        members = pa.array(wanted, values.type)
    return _where_valid(values, pc.is_in(values, value_set=members))


def _compare(node: Compare, values: pa.Array, wanted: Bare) -> pa.BooleanArray:
    operator = node.operator
    if operator in {"<>", ">", ">="}:
        contrary = {"<>": "=", ">": "<=", ">=": "<"}[operator]
        return pc.invert(_compare_as(contrary, values, wanted))
    return _compare_as(operator, values, wanted)


def _compare_as(operator: str, values: pa.Array, wanted: Bare) -> pa.BooleanArray:
    """Compare by one of ``= < <=``; the other operators are their contraries."""
    function = {"=": pc.equal, "<": pc.less, "<=": pc.less_equal}[operator]
    match kind_of(values.type):
        case "float":
            # Both sides are exact in double precision.
            return function(values, pa.scalar(float(wanted), pa.float64()))
        case "text":
            return function(values, pa.scalar(bytes(wanted).decode(), values.type))  # type: ignore[arg-type]
        case "bool":
            return function(values, pa.scalar(bool(wanted)))
    values, unit, least, greatest = _exact(values)
    edge = _fraction(wanted) * unit
    if operator == "=" and edge.denominator != 1:
        return _where_valid(values, False)
    number = math.ceil(edge) if operator == "<" else math.floor(edge)
    if number < least:
        return _where_valid(values, False)
    if number > greatest:
        return _where_valid(values, operator != "=")
    return function(values, _as_scalar(number, values.type))


def _fraction(value: Bare) -> Fraction:
    assert isinstance(value, Fraction)
    return value


def _exact(values: pa.Array) -> tuple[pa.Array, Fraction, int, int]:
    """Return values as whole numbers, the units of 1, and the least and greatest whole number."""
    dtype, unit = values.type, Fraction(1)
    if pt.is_decimal(dtype):
        most = 10**dtype.precision - 1
        return values, Fraction(10) ** dtype.scale, -most, most
    if not pt.is_integer(dtype):
        unit = per_second(dtype)
        values = values.view(pa.int32() if pt.is_date32(dtype) else pa.int64())
    width, is_signed = values.type.bit_width, pt.is_signed_integer(values.type)
    least = -(1 << (width - 1)) if is_signed else 0
    return values, unit, least, least + (1 << width) - 1


def _as_scalar(number: int, dtype: pa.DataType) -> pa.Scalar:
    if not pt.is_decimal(dtype):
        return pa.scalar(number, dtype)
    digits = tuple(int(digit) for digit in str(abs(number)))
    return pa.scalar(Decimal((int(number < 0), digits, -dtype.scale)), dtype)


def _where_valid(values: pa.Array, truth: Any) -> pa.BooleanArray:
    return pc.if_else(pc.is_valid(values), truth, pa.scalar(None, pa.bool_()))
