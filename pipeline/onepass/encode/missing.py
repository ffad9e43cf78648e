"""Find values that stand for nothing: blank texts, words such as "NA", and numbers such as -999.

Words are compared without blanks around them and in lower case. A word that is a number, which only
a job names, stands for the same number in a column of numbers, and a date for the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.encode.columns import is_number, plain
from onepass.encode.iso_times import iso_seconds
from onepass.encode.texts import characters
from onepass.jit import compiled

MISSING_TEXTS = ("?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", ".", "\\n")
"""Texts in lower case that stand for a missing value in text."""


def as_words(words: Iterable[str]) -> tuple[str, ...]:
    """Return words in the form in which they are compared."""
    return tuple(dict.fromkeys(word.strip().lower() for word in words))


@cache
def missing_numbers(words: tuple[str, ...]) -> FloatArray:
    """Return the words that are numbers."""
    return np.array([float(word) for word in words if is_number(word)])


@cache
def missing_moments(words: tuple[str, ...]) -> FloatArray:
    """Return the words that are dates or times by ISO 8601, in seconds since 1970 (UTC)."""
    if not words:
        return np.zeros(0)
    texts = pa.array(words, pa.string())
    seconds = iso_seconds(*characters(texts), len(texts))
    return seconds[np.isfinite(seconds)]


def without_numbers(values: pa.Array, numbers: FloatArray) -> pa.Array:
    """Return numbers with null in place of those that stand for nothing."""
    if not len(numbers):
        return values
    if pa.types.is_dictionary(values.type):
        distinct = without_numbers(plain(values.dictionary), numbers)
        return pa.DictionaryArray.from_arrays(values.indices, distinct)
    doubles = values.cast(pa.float64(), safe=False)
    found = pc.is_in(doubles, value_set=pa.array(numbers))
    return pc.if_else(found, None, values) if found.true_count else values


def is_missing(texts: pa.Array, missing: Sequence[str]) -> pa.Array:
    """Whether each text is null, blank, or one that stands for a missing value."""
    bare = pc.ascii_lower(pc.ascii_trim_whitespace(texts))
    found = pc.is_in(bare, value_set=pa.array(["", *missing], bare.type))
    return pc.or_(found, texts.is_null())


def without_missing(values: pa.Array, missing: Sequence[str] = ()) -> pa.Array:
    """Return a column of texts with null in place of blank ones, and of words for nothing."""
    if pa.types.is_dictionary(values.type):
        distinct = without_missing(values.dictionary, missing)
        if distinct is values.dictionary:
            return values
        return pa.DictionaryArray.from_arrays(values.indices, distinct)
    texts = plain(values)
    found = _found_missing(texts, tuple(missing))
    if not found.any():
        return values
    valid = ~found & texts.is_valid().to_numpy(zero_copy_only=False)
    _, offsets, data = texts.buffers()
    width = 8 if pa.types.is_large_string(texts.type) else 4
    own = offsets.slice(texts.offset * width, (len(texts) + 1) * width)
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.Array.from_buffers(texts.type, len(texts), [bitmap, own, data])


def _found_missing(texts: pa.Array, missing: tuple[str, ...]) -> NDArray[np.bool_]:
    found = np.zeros(len(texts), np.bool_)
    offsets, data = characters(texts)
    begins, first, words = _table(missing)
    _find(offsets, data, begins, first, words, found)
    return found & texts.is_valid().to_numpy(zero_copy_only=False) if texts.null_count else found


@cache
def _table(
    words: tuple[str, ...],
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.uint8]]:
    """Return whether each byte may begin a text for nothing, and the words sorted by length.

    The words are given by the number of the first one of each length, and their bytes.
    """
    coded = sorted({word.encode() for word in words if word}, key=lambda word: (len(word), word))
    longest = max((len(word) for word in coded), default=0)
    first = np.searchsorted([len(word) for word in coded], np.arange(longest + 2)).astype(np.int64)
    data = np.zeros((len(coded), max(1, longest)), np.uint8)
    for i, word in enumerate(coded):
        data[i, : len(word)] = np.frombuffer(word, np.uint8)
    begins = np.zeros(256, np.bool_)
    begins[[32, *range(9, 14)]] = True
    for word in coded:
        begins[[*word[:1].lower(), *word[:1].upper()]] = True
    return begins, first, data


@compiled
def _find(
    offsets: NDArray[Any],
    data: NDArray[np.uint8],
    begins: NDArray[np.bool_],
    first: NDArray[np.int64],
    words: NDArray[np.uint8],
    out: NDArray[np.bool_],
) -> None:
    longest = len(first) - 2
    for i in range(len(out)):
        start, end = int(offsets[i]), int(offsets[i + 1])
        # The first byte rules out the usual text.
        if start < end and not begins[data[start]]:
            continue
        while start < end and (data[start] == 32 or 9 <= data[start] <= 13):
            start += 1
        while end > start and (data[end - 1] == 32 or 9 <= data[end - 1] <= 13):
            end -= 1
        n = end - start
        if n == 0:
            out[i] = True
        elif n <= longest:
            for word in range(first[n], first[n + 1]):
                same = True
                for k in range(n):
                    byte = data[start + k]
                    if (byte + 32 if 65 <= byte <= 90 else byte) != words[word, k]:
                        same = False
                        break
                if same:
                    out[i] = True
                    break
