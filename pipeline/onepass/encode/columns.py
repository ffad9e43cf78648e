"""Arrow columns as numpy arrays, one way for the profile and the encoder alike."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.schema import HiveType, family
from onepass.errors import BadColumn

LARGEST_LABEL = 1e100

_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def typed_hive(name: str, values: list[str | None], kind: HiveType) -> pa.Array:
    """Values of a key=value folder as an Arrow array of their type.

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


def epoch_seconds(values: pa.Array) -> FloatArray:
    """Dates or timestamps as seconds since 1970 (UTC), null as NaN."""
    values = plain(values)
    # Each in its own unit: casts between units wrap around silently in the far future.
    if pa.types.is_timestamp(values.type):
        return floats(values.cast(pa.int64())) / _PER_SECOND[values.type.unit]
    if pa.types.is_date64(values.type):
        return floats(values.cast(pa.int64())) / _PER_SECOND["ms"]
    return floats(values.cast(pa.int32())) * 86_400.0


def plain(values: pa.Array) -> pa.Array:
    """The same values without a dictionary or a view, which few of Arrow's kernels take."""
    if pa.types.is_dictionary(values.type):
        distinct = plain(values.dictionary)
        return pa.DictionaryArray.from_arrays(values.indices, distinct).dictionary_decode()
    return values.cast(pa.string()) if pa.types.is_string_view(values.type) else values


def floats(values: pa.Array) -> FloatArray:
    """Numbers or truth values of any width as float64, null as NaN."""
    values = plain(values)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    doubles = values.cast(pa.float64(), safe=False)
    return np.asarray(doubles.to_numpy(zero_copy_only=False), dtype=np.float64)


def as_text(values: pa.Array) -> pa.Array:
    """Text (plain or dictionary) as it is; integers and truth values spelt out."""
    if pa.types.is_dictionary(values.type):
        return pa.DictionaryArray.from_arrays(values.indices, as_text(values.dictionary))
    values = plain(values)
    return values if family(values.type) == "text" else values.cast(pa.string())


def label_family(values: pa.Array, name: str) -> Literal["number", "bool", "text", "null"]:
    """What a label's column holds.

    Raises
    ------
    BadColumn
        If it is none of numbers, truth values and text.
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


def label_values(values: pa.Array, name: str) -> FloatArray:
    """Labels of numbers or truth values as float64, null as NaN, shape (len(values),).

    Raises
    ------
    BadColumn
        If one is infinite or too large to be squared.
    """
    target = floats(values)
    if np.nanmax(np.abs(target), initial=0.0) > LARGEST_LABEL and not np.isinf(target).any():
        raise BadColumn(f"labels beyond {LARGEST_LABEL:g} cannot be squared and summed", name)
    if np.isinf(target).any():
        raise BadColumn(f"{int(np.isinf(target).sum())} labels are infinite", name)
    return target
