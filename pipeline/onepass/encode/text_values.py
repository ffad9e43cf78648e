"""Read numbers and times that a file stores as text.

A text is the same number or time in every block: how the other texts of a block look never matters.
Each distinct value of a dictionary is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.encode.columns import plain
from onepass.encode.dictionaries import Kept
from onepass.encode.iso_times import iso_seconds
from onepass.encode.missing import MISSING_TEXTS, is_missing, missing_numbers, without_numbers
from onepass.encode.texts import characters
from onepass.encode.written_numbers import written_numbers
from onepass.encode.written_times import written_seconds

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def numbers_in_text(
    values: pa.Array, missing: Sequence[str], name: str = "", mark: str | None = None
) -> pa.Array:
    """Read numbers, plain or with an exponent.

    Parameters
    ----------
    values
        Text, or a dictionary of texts.
    missing
        Texts in lower case that stand for a missing value, as blank text always does.
    name
        Name of the column, of which recent dictionaries are remembered.
    mark
        Decimal mark of numbers as people write them; see `written_numbers`. None for plain ones.

    Returns
    -------
    float64, null for a missing value, NaN for a text that is no number.
    """
    key = ("number", mark or "", name, *missing)
    return _each_once(values, key, lambda texts: _numbers(texts, missing, mark))


def times_in_text(
    values: pa.Array, missing: Sequence[str], name: str = "", form: str | None = None
) -> pa.Array:
    """Read dates and times as seconds since 1970 (UTC).

    Parameters and returns as `numbers_in_text`; see `iso_seconds` for the forms, and
    `written_seconds` if there is a `form`.
    """
    key = ("time", form or "", name, *missing)
    return _each_once(values, key, lambda texts: _times(texts, missing, form))


_known: dict[tuple[str, ...], Kept[pa.Array]] = {}


def _each_once(
    values: pa.Array, key: tuple[str, ...], read: Callable[[pa.Array], pa.Array]
) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        kept = _known.setdefault(key, Kept())
        return kept.get(values.dictionary, lambda texts: read(plain(texts))).take(values.indices)
    return read(plain(values))


def _numbers(texts: pa.Array, missing: Sequence[str], mark: str | None) -> pa.Array:
    if mark is None:
        found = _plain_numbers(texts, missing)
    else:
        numbers = written_numbers(texts, mark)
        found = pa.array(numbers)
        if np.isnan(numbers).any():
            found = pc.if_else(is_missing(texts, missing), None, found)
    return without_numbers(found, missing_numbers(tuple(missing)))


def _plain_numbers(texts: pa.Array, missing: Sequence[str]) -> pa.Array:
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


def _times(texts: pa.Array, missing: Sequence[str], form: str | None) -> pa.Array:
    places = characters(texts)
    seconds = (
        iso_seconds(*places, len(texts))
        if form is None
        else written_seconds(*places, len(texts), form)
    )
    # A word that a job names may be a date.
    are_words = set(missing) <= set(MISSING_TEXTS)
    if are_words and not texts.null_count and np.isfinite(seconds).all():
        return pa.array(seconds)
    return pc.if_else(is_missing(texts, missing), None, pa.array(seconds))


def seconds_of(values: pa.Array) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the result of `times_in_text` as seconds, NaN where there is none, and the nulls."""
    return (
        np.asarray(values.to_numpy(zero_copy_only=False), np.float64),
        values.is_null().to_numpy(zero_copy_only=False),
    )
