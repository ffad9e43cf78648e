"""Classes of a label: their texts, and the index of the class of each value of a column.

A class is known by its text, which is the same however a file stores it: 1, 1.0 and "1.00" are one
number, true and false are 1 and 0 where the column holds numbers. Text is compared as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.block import FloatArray
from onepass.encode.columns import as_text, floats, plain
from onepass.encode.schema import Label, family
from onepass.errors import BadColumn
from onepass.jit import compiled

MAX_CLASSES = 1000
"""Softmax keeps weights for each class; more classes than this are hardly meant."""

_EXACT = 2.0**53
_INT64 = 1 << 63
_INTEGERS = {pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()}


def class_text(text: str, kind: Literal["number", "bool", "text"]) -> str:
    """The text by which a class is known.

    Raises
    ------
    ValueError
        If the text is none of a number, or of a truth value, where the label is one.
    """
    if kind == "text":
        return text
    number = {"true": "1", "false": "0"}.get(text.strip().lower()) or _number_text(text)
    if kind == "number":
        return number
    if number not in {"0", "1"}:
        raise ValueError(f"expected true or false, found {text!r}")
    return "true" if number == "1" else "false"


def sort_classes(texts: Sequence[str], kind: Literal["number", "bool", "text"]) -> list[str]:
    """Classes in the order of their numbers, or of their characters."""
    return sorted(texts, key=float) if kind == "number" else sorted(texts)


def class_counts(values: pa.Array, kind: Literal["number", "bool", "text"]) -> dict[str, int]:
    """Rows of each class in a column, in the order of `sort_classes`; null and NaN left out."""
    distinct, codes = _distinct(values, kind)
    rows = np.bincount(codes[codes >= 0], minlength=len(distinct))
    counts: dict[str, int] = {}
    for text, n in zip(distinct, rows.tolist(), strict=True):
        if text is not None and n:
            counts[text] = counts.get(text, 0) + n
    return {text: counts[text] for text in sort_classes(list(counts), kind)}


def class_indices(
    values: pa.Array, classes: Sequence[str], kind: Literal["number", "bool", "text"], name: str
) -> FloatArray:
    """Index of each value's class, NaN where null, shape (len(values),).

    Raises
    ------
    BadColumn
        If a value is of no class.
    """
    if (found := _looked_up(values, tuple(classes), kind)) is not None:
        return found
    distinct, codes = _distinct(values, kind)
    place = {text: float(i) for i, text in enumerate(classes)}
    index = np.array([np.nan if t is None else place.get(t, -1.0) for t in distinct] + [np.nan])
    target: FloatArray = index[codes]
    if (target < 0).any():
        raise _unknown(str(distinct[codes[np.flatnonzero(target < 0)[0]]]), classes, name)
    return target


def _looked_up(
    values: pa.Array, classes: tuple[str, ...], kind: Literal["number", "bool", "text"]
) -> FloatArray | None:
    """Indices of integers, where all are of a class and the classes lie close to each other.

    Most labels are such: 2 to 4 ns a row, and 13 to find the distinct values first.
    """
    table = _integer_places(classes) if kind == "number" else None
    if table is None or values.type not in _INTEGERS:
        return None
    target, missing = np.empty(len(values)), np.empty(0, np.bool_)
    if values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        values = values.fill_null(0)
    numbers = values.to_numpy()
    return target if _look_up(numbers, missing, *table, target) else None


@cache
def _integer_places(classes: tuple[str, ...]) -> tuple[int, FloatArray] | None:
    """The least class, and the index of the class of each integer from there on; -1 for none."""
    if not all(_is_int64(text) for text in classes):
        return None
    numbers = [int(text) for text in classes]
    lowest, highest = min(numbers), max(numbers)
    if highest - lowest >= MAX_CLASSES:
        return None
    places = np.full(highest - lowest + 1, -1.0)
    places[np.array(numbers) - lowest] = np.arange(len(numbers))
    return lowest, places


@compiled
def _look_up(
    x: np.ndarray, missing: np.ndarray, lowest: int, places: FloatArray, target: FloatArray
) -> bool:
    for i in range(len(x)):
        if len(missing) and missing[i]:
            target[i] = np.nan
            continue
        if not lowest <= x[i] < lowest + len(places):
            return False
        target[i] = places[x[i] - lowest]
        if target[i] < 0.0:
            return False
    return True


def _unknown(found: str, classes: Sequence[str], name: str) -> BadColumn:
    known = " or ".join(classes) if len(classes) == 2 else f"one of the {len(classes)} classes"
    return BadColumn(
        f"expected a label of {known}, found {found}",
        name,
        "The classes were fixed when the model was created: create one with --classes that names "
        "them all, or leave the file out with --on-bad skip.",
    )


def _distinct(
    values: pa.Array, kind: Literal["number", "bool", "text"]
) -> tuple[list[str | None], np.ndarray]:
    """Class texts of values, None for missing, and for each row which; -1 for null.

    All distinct values are among them, each once.
    """
    encoded = values if pa.types.is_dictionary(values.type) else plain(values).dictionary_encode()
    texts = _decoded(_spelt(encoded.dictionary))
    distinct = [None if t is None or (t == "nan" and kind != "text") else t for t in texts]
    distinct = [None if t is None else _known_as(t, kind) for t in distinct]
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return distinct, codes


def _known_as(text: str, kind: Literal["number", "bool", "text"]) -> str:
    try:
        return class_text(text, kind)
    except ValueError:
        return text


def _spelt(values: pa.Array) -> pa.Array:
    """Each value as text; numbers in the fewest digits that their own precision needs."""
    values = plain(values)
    if family(values.type) == "real" and not pa.types.is_float32(values.type):
        return pa.array(floats(values)).cast(pa.string())
    return as_text(values) if family(values.type) == "text" else values.cast(pa.string())


def _decoded(texts: pa.Array) -> list[str | None]:
    # Bytes that are no UTF-8 must end as a class that is not known, not as a UnicodeDecodeError.
    raw = pc.cast(texts, pa.large_binary()).to_pylist()
    return [None if one is None else one.decode(errors="replace") for one in raw]


def _number_text(text: str) -> str:
    """A number in one way of writing it: without a point if it is whole."""
    try:
        return str(int(text))
    except ValueError:
        number = float(text)
    if number != number:
        raise ValueError(f"expected a number, found {text!r}")
    return str(int(number)) if number.is_integer() and abs(number) < _EXACT else repr(number)


def class_type(label: Label) -> pa.DataType:
    """Type of the values of a label of classes."""
    if label.family != "number":
        return {"text": pa.string(), "bool": pa.bool_()}[label.family]
    whole = all(_is_int64(text) for text in label.classes or ())
    return pa.int64() if whole else pa.float64()


def class_values(label: Label) -> list[str] | list[bool] | list[int] | list[float]:
    """The classes of a label as the values that they are in its column."""
    classes = label.classes or []
    if label.family == "text":
        return classes
    if label.family == "bool":
        return [text == "true" for text in classes]
    whole = class_type(label) == pa.int64()
    return [int(text) for text in classes] if whole else [float(text) for text in classes]


def _is_int64(text: str) -> bool:
    try:
        return -_INT64 <= int(text) < _INT64
    except ValueError:
        return False
