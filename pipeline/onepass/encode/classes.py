"""Name the classes of a label by texts, and find the class of each value of a column.

A class has the same text however a file stores it: 1, 1.0 and "1.00" are one number, and true and
false are 1 and 0 where the column holds numbers. Text is compared as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.block import FloatArray
from onepass.encode.columns import as_text, floats, plain
from onepass.encode.schema import Label, family
from onepass.errors import BadColumn
from onepass.jit import compiled
from onepass.text import visible

MAX_CLASSES = 1000
"""Maximum number of classes. Softmax keeps weights for each class, and a label with more distinct
values is probably not meant as classes."""

Kind: TypeAlias = Literal["number", "bool", "text"]
"""Families of labels."""

UNKNOWN = -1.0
"""Index of a label of none of the classes."""

_EXACT = 2.0**53
"""Magnitude below which every whole number is a float64."""

_INT64 = 1 << 63
_INTEGERS = {pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()}


class UnknownClass(BadColumn):
    """Raised when labels are of classes that the model does not know.

    Parameters
    ----------
    found
        These classes, each with its rows.
    label
        The label with the classes that are known.
    """

    def __init__(self, found: Mapping[str, int], label: Label) -> None:
        classes = label.classes or []
        two = " or ".join(map(visible, classes))
        known = two if len(classes) == 2 else f"one of the {len(classes)} classes"
        super().__init__(
            f"expected a label of {known}, found {counted_classes(found)}",
            label.name,
            "The classes were fixed when the model was created: create one with --classes that "
            "names them all, or with --unknown-class drop or other, which drop and count such "
            "rows, or learn them as one class, or leave the file out with --on-bad skip.",
        )


def class_text(text: str, kind: Kind) -> str:
    """Return the text that identifies a class, however the class was written.

    Raises
    ------
    ValueError
        If the label holds numbers, or truth values, and the text is not one.
    """
    if kind == "text":
        return text
    number = {"true": "1", "false": "0"}.get(text.strip().lower()) or _number_text(text)
    if kind == "number":
        return number
    if number not in {"0", "1"}:
        raise ValueError(f"expected true or false, found {text!r}")
    return "true" if number == "1" else "false"


def sort_classes(texts: Sequence[str], kind: Kind) -> list[str]:
    """Sort classes by their numbers, or by their characters."""
    return sorted(texts, key=float) if kind == "number" else sorted(texts)


def class_counts(
    values: pa.Array, kind: Kind, *, blank_is_null: bool = False, missing: Collection[str] = ()
) -> dict[str, int]:
    """Count the rows of each class in the order of `sort_classes`; null and NaN are left out.

    Parameters
    ----------
    blank_is_null
        Whether empty and blank texts are left out, too.
    missing
        Words for a missing label in lower case, which are left out.
    """
    distinct, codes = _distinct(values, kind, blank_is_null, missing)
    counts = _rows_of(distinct, codes)
    return {text: counts[text] for text in sort_classes(list(counts), kind)}


def class_indices(values: pa.Array, label: Label) -> FloatArray:
    """Return the index of each value's class, NaN where null, shape (len(values),).

    Parameters
    ----------
    label
        A label with classes. Unless its unknown classes are errors, their index is `UNKNOWN`.

    Raises
    ------
    BadColumn
        If values are not of any of the classes (`UnknownClass`).
    """
    classes, kind = label.classes or [], label.family
    # A missing label is no class, so it is not in the table.
    if (found := _look_up_integers(values, tuple(classes), kind)) is not None:
        return found
    distinct, codes = _distinct(values, kind, label.blank_is_null, label.missing_texts)
    place = {text: float(i) for i, text in enumerate(classes)}
    index = np.array([np.nan if t is None else place.get(t, UNKNOWN) for t in distinct] + [np.nan])
    target: FloatArray = index[codes]
    if label.unknown == "error" and (target == UNKNOWN).any():
        counts = _rows_of(distinct, codes)
        further = {text: n for text, n in counts.items() if text not in place}
        raise UnknownClass(further, label)
    return target


def _rows_of(distinct: Sequence[str | None], codes: np.ndarray) -> dict[str, int]:
    """Count the rows of each text of `_distinct`."""
    rows = np.bincount(codes[codes >= 0], minlength=len(distinct))
    counts: dict[str, int] = {}
    for text, n in zip(distinct, rows.tolist(), strict=True):
        if text is not None and n:
            counts[text] = counts.get(text, 0) + n
    return counts


def counted_classes(counts: Mapping[str, int], limit: int = 20) -> str:
    """Return classes for a message, each with its rows unless it is one row."""
    shown = [
        visible(text) if n == 1 else f"{visible(text)} ({n:,} rows)"
        for text, n in islice(counts.items(), limit)
    ]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _look_up_integers(values: pa.Array, classes: tuple[str, ...], kind: Kind) -> FloatArray | None:
    """Return class indices from a table; None if a value has no class or no table can be made.

    Most labels are such integers, and a table is several times as fast as finding the distinct
    values first.
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
    """Return the least class, and the index of the class of each integer from there on.

    The index is -1 for an integer that is not a class. The result is None if a class is not an
    integer, or if the table would be longer than `MAX_CLASSES`.
    """
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
    """Write the class index of each integer; return whether all have a class.

    `missing` has length 0 if no value is null.
    """
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


def _distinct(
    values: pa.Array, kind: Kind, blank_is_null: bool, missing: Collection[str]
) -> tuple[list[str | None], np.ndarray]:
    """Return the class text of each distinct value, and for each row the index of its text.

    The text is None for a value that counts as missing, and the index is -1 for null.
    """
    encoded = values if pa.types.is_dictionary(values.type) else plain(values).dictionary_encode()
    texts = _decode(_spell(encoded.dictionary))
    distinct = [None if t is None or (t == "nan" and kind != "text") else t for t in texts]
    if blank_is_null and kind == "text":
        distinct = [t if t is not None and t.strip() else None for t in distinct]
    distinct = [None if t is None else _class_text_or_same(t, kind) for t in distinct]
    if missing:
        words = {_class_text_or_same(word, kind) for word in missing}
        distinct = [None if t is None or t.strip().lower() in words else t for t in distinct]
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return distinct, codes


def _class_text_or_same(text: str, kind: Kind) -> str:
    try:
        return class_text(text, kind)
    except ValueError:
        return text


def _spell(values: pa.Array) -> pa.Array:
    """Return values as text, numbers with the fewest digits that their own precision needs."""
    values = plain(values)
    if family(values.type) == "real" and not pa.types.is_float32(values.type):
        return pa.array(floats(values)).cast(pa.string())
    return as_text(values) if family(values.type) == "text" else values.cast(pa.string())


def _decode(texts: pa.Array) -> list[str | None]:
    # Invalid UTF-8 must become an unknown class, which is reported, not a UnicodeDecodeError.
    raw = pc.cast(texts, pa.large_binary()).to_pylist()
    return [None if one is None else one.decode(errors="replace") for one in raw]


def _number_text(text: str) -> str:
    """Return a number in its one spelling, which has no point if the number is whole."""
    try:
        return str(int(text))
    except ValueError:
        number = float(text)
    if number != number:
        raise ValueError(f"expected a number, found {text!r}")
    return str(int(number)) if number.is_integer() and abs(number) < _EXACT else repr(number)


def class_type(label: Label) -> pa.DataType:
    """Return the Arrow type of a column of these classes."""
    if label.family != "number":
        return {"text": pa.string(), "bool": pa.bool_()}[label.family]
    whole = all(_is_int64(text) for text in label.classes or ())
    return pa.int64() if whole else pa.float64()


def class_values(label: Label) -> list[str] | list[bool] | list[int] | list[float]:
    """Return the classes of a label as values of its column."""
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
