"""Read numbers and times that a file stores as text, and find texts that stand for nothing.

A text is the same number or time in every block: how the other texts of a block look never matters.
Each distinct value of a dictionary is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.encode.columns import plain
from onepass.encode.dictionaries import Kept
from onepass.encode.iso_times import iso_seconds
from onepass.encode.schema import family
from onepass.jit import compiled

MISSING_TEXTS = ("?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", ".", "\\n")
"""Texts in lower case that stand for a missing value among numbers and times in text."""

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def is_text(values: pa.Array) -> bool:
    """Whether a column is text, or a dictionary of texts."""
    return family(values.type) == "text"


def numbers_in_text(values: pa.Array, missing: Sequence[str], name: str = "") -> pa.Array:
    """Read numbers, plain or with an exponent.

    Parameters
    ----------
    values
        Text, or a dictionary of texts.
    missing
        Texts in lower case that stand for a missing value, as blank text always does.
    name
        Name of the column, of which recent dictionaries are remembered.

    Returns
    -------
    float64, null for a missing value, NaN for a text that is no number.
    """
    return _each_once(values, ("number", name, *missing), lambda texts: _numbers(texts, missing))


def times_in_text(values: pa.Array, missing: Sequence[str], name: str = "") -> pa.Array:
    """Read ISO dates and times as seconds since 1970 (UTC).

    Parameters and returns as `numbers_in_text`; see `iso_seconds` for the forms.
    """
    return _each_once(values, ("time", name, *missing), lambda texts: _times(texts, missing))


def is_missing(texts: pa.Array, missing: Sequence[str]) -> pa.Array:
    """Whether each text is null, blank, or one that stands for a missing value."""
    bare = pc.ascii_lower(pc.ascii_trim_whitespace(texts))
    found = pc.is_in(bare, value_set=pa.array(["", *missing], bare.type))
    return pc.or_(found, texts.is_null())


def without_blanks(values: pa.Array) -> pa.Array:
    """Return a column of texts with null in place of empty and blank ones."""
    if pa.types.is_dictionary(values.type):
        distinct = without_blanks(values.dictionary)
        if distinct is values.dictionary:
            return values
        return pa.DictionaryArray.from_arrays(values.indices, distinct)
    texts = plain(values)
    blank = _is_blank(texts)
    if not blank.any():
        return values
    valid = ~blank & texts.is_valid().to_numpy(zero_copy_only=False)
    _, offsets, data = texts.buffers()
    width = 8 if pa.types.is_large_string(texts.type) else 4
    own = offsets.slice(texts.offset * width, (len(texts) + 1) * width)
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.Array.from_buffers(texts.type, len(texts), [bitmap, own, data])


_known: dict[tuple[str, ...], Kept[pa.Array]] = {}


def _each_once(
    values: pa.Array, key: tuple[str, ...], read: Callable[[pa.Array], pa.Array]
) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        kept = _known.setdefault(key, Kept())
        return kept.get(values.dictionary, lambda texts: read(plain(texts))).take(values.indices)
    return read(plain(values))


def _numbers(texts: pa.Array, missing: Sequence[str]) -> pa.Array:
    try:
        found = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        found = None
    # Arrow reads "nan" and "inf" as well, which the pattern below does not.
    if found is not None and np.isfinite(found.drop_null().to_numpy()).all():
        return found
    stripped = pc.ascii_trim_whitespace(texts)
    is_number = pc.match_substring_regex(stripped, _NUMBER)
    numbers = pc.if_else(is_number, stripped, None).cast(pa.float64())
    return pc.if_else(is_missing(texts, missing), None, pc.fill_null(numbers, np.nan))


def _times(texts: pa.Array, missing: Sequence[str]) -> pa.Array:
    seconds = iso_seconds(*_characters(texts), len(texts))
    if not texts.null_count and np.isfinite(seconds).all():
        return pa.array(seconds)
    return pc.if_else(is_missing(texts, missing), None, pa.array(seconds))


def _is_blank(texts: pa.Array) -> NDArray[np.bool_]:
    blank = np.zeros(len(texts), np.bool_)
    _find_blank(*_characters(texts), blank)
    return blank & texts.is_valid().to_numpy(zero_copy_only=False) if texts.null_count else blank


def _characters(texts: pa.Array) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return where each text begins, followed by the end of the last one, and all bytes."""
    if not len(texts):
        return np.zeros(1, np.int32), np.zeros(1, np.uint8)
    large = pa.types.is_large_string(texts.type)
    _, offsets, data = texts.buffers()
    found = np.frombuffer(offsets, np.int64 if large else np.int32)
    # Without any characters Arrow has no buffer or an empty one, which numpy refuses.
    return found[texts.offset :][: len(texts) + 1], np.frombuffer(data or b"\0", np.uint8)


@compiled
def _find_blank(offsets: NDArray[Any], data: NDArray[np.uint8], blank: NDArray[np.bool_]) -> None:
    for i in range(len(blank)):
        blank[i] = True
        for at in range(offsets[i], offsets[i + 1]):
            # The usual text ends this loop at its first byte.
            if data[at] != 32 and not 9 <= data[at] <= 13:
                blank[i] = False
                break


def seconds_of(values: pa.Array) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the result of `times_in_text` as seconds, NaN where there is none, and the nulls."""
    return (
        np.asarray(values.to_numpy(zero_copy_only=False), np.float64),
        values.is_null().to_numpy(zero_copy_only=False),
    )
