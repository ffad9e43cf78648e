"""Convert Arrow columns to numpy arrays, in the same way for the survey and the encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from onepass.arrays import has_codes, without_codes
from onepass.block import FloatArray
from onepass.encode.schema import HiveType, family
from onepass.errors import BadColumn
from onepass.text import counted

LARGEST_LABEL = 1e100
"""Largest magnitude of a label; beyond it, sums of squares would overflow."""


_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def is_number(word: str) -> bool:
    """Whether a word is a finite number, plain or with an exponent."""
    return _NUMBER.fullmatch(word) is not None


def typed_hive(name: str, values: list[str | None], kind: HiveType) -> pa.Array:
    """Convert values of a key=value folder to an Arrow array of their type.

    Raises
    ------
    BadColumn
        If a value cannot be read as that type.
    """
    text = pa.array(values, pa.string())
    target = {"integer": pa.int64(), "date": pa.date32(), "text": pa.string()}[kind]
    try:
        return text.cast(target)
    except pa.ArrowInvalid:
        raise BadColumn(f"expected {kind} in the path, found {values[0]!r}", name) from None


def plain(values: pa.Array) -> pa.Array:
    """Return the same values without a dictionary or a view, which few Arrow kernels support."""
    if pa.types.is_dictionary(values.type):
        distinct = plain(values.dictionary)
        return pa.DictionaryArray.from_arrays(values.indices, distinct).dictionary_decode()
    if pa.types.is_nested(values.type) and has_codes(values.type):
        return values.cast(without_codes(values.type))
    return values.cast(pa.string()) if pa.types.is_string_view(values.type) else values


def floats(values: pa.Array) -> FloatArray:
    """Return numbers or truth values of any width as float64, null as NaN."""
    values = plain(values)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    doubles = values.cast(pa.float64(), safe=False)
    return np.asarray(doubles.to_numpy(zero_copy_only=False), dtype=np.float64)


def as_text(values: pa.Array) -> pa.Array:
    """Return text unchanged, and integers and truth values as text; dictionaries stay such."""
    if pa.types.is_dictionary(values.type):
        return pa.DictionaryArray.from_arrays(values.indices, as_text(values.dictionary))
    values = plain(values)
    return values if family(values.type) == "text" else values.cast(pa.string())


def label_family(values: pa.Array, name: str) -> Literal["number", "bool", "text", "null"]:
    """Return the family of values in the column of a label.

    Raises
    ------
    BadColumn
        If the type is not one of numbers, truth values or text.
    """
    match family(values.type):
        case "integer" | "real":
            return "number"
        case ("bool" | "text" | "null") as found:
            return found
        case _:
            raise BadColumn(
                f"a label must be a number, a bool or text, found type {values.type}", name
            )


def label_values(values: pa.Array, name: str, missing: Sequence[str] = ()) -> FloatArray:
    """Return labels of numbers or truth values as float64, null as NaN, shape (len(values),).

    Parameters
    ----------
    missing
        Words for a missing label; numbers among them become NaN.

    Raises
    ------
    BadColumn
        If a label is infinite, or too large to be squared.
    """
    target = floats(values)
    if marks := [float(word) for word in missing if is_number(word)]:
        target = np.where(np.isin(target, marks), np.nan, target)
    if np.nanmax(np.abs(target), initial=0.0) > LARGEST_LABEL and not np.isinf(target).any():
        raise BadColumn(f"labels beyond {LARGEST_LABEL:g} cannot be squared and summed", name)
    if n_infinite := int(np.isinf(target).sum()):
        are = "is" if n_infinite == 1 else "are"
        raise BadColumn(f"{counted(n_infinite, 'label')} {are} infinite", name)
    return target


def column_of(batch: pa.RecordBatch, name: str, advice: str | None = None) -> pa.Array:
    """Return a column of the rows of a file.

    Raises
    ------
    BadColumn
        If the column is missing; with the advice, if there is any.
    """
    if batch.schema.get_field_index(name) < 0:
        raise BadColumn(f"the column is missing; the file has {batch.schema.names}", name, advice)
    return batch.column(name)
