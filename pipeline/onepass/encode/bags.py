"""Encode lists of texts or integers, in any order: each value once, or as often as it occurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.block import Float32Array, IntArray
from onepass.encode.columns import as_text, plain
from onepass.encode.hashing import slot_codes
from onepass.encode.lists import Lists, lists_of
from onepass.encode.missing import missing_numbers, without_missing, without_numbers
from onepass.encode.nested_kinds import Bag, HashedBag
from onepass.encode.schema import family
from onepass.encode.write.sink import Sink
from onepass.jit import compiled


@dataclass(frozen=True, slots=True)
class Coded:
    """Lists of values, each value as a code."""

    lists: Lists
    elements: pa.DictionaryArray
    """The elements; null where one is null or blank."""

    @property
    def codes(self) -> NDArray[np.int32]:
        """Code of each element; -1 for null."""
        filled = pc.fill_null(self.elements.indices.cast(pa.int32()), -1)
        return np.asarray(filled.to_numpy(zero_copy_only=False), np.int32)


def coded_lists(values: pa.Array, missing: Sequence[str] = ()) -> Coded:
    """Return the elements of lists, or the entries of maps as ``key=value``, as codes.

    Parameters
    ----------
    missing
        Words in lower case for a missing element, or for a missing value of an entry.
    """
    lists = lists_of(values)
    if pa.types.is_map(values.type):
        keys, items = plain(lists.of(values.keys)), plain(lists.of(values.items))
        items = without_missing(items.cast(pa.string()), missing) if missing else items
        texts = [as_text(keys).cast(pa.string()), items.cast(pa.string())]
        return Coded(lists, coded(pc.binary_join_element_wise(*texts, "=")))
    return Coded(lists, coded(lists.of(values.values), missing))


def coded(elements: pa.Array, missing: Sequence[str] = ()) -> pa.DictionaryArray:
    """Return elements or keys as a dictionary; blank texts are null, and have no code.

    Neither have words for a missing value, nor numbers that are among these words.
    """
    if pa.types.is_null(elements.type):
        elements = pa.nulls(len(elements), pa.string())
    if not pa.types.is_dictionary(elements.type):
        elements = pc.dictionary_encode(plain(elements))
    if family(elements.type) == "text":
        elements = without_missing(elements, missing)
    else:
        elements = without_numbers(elements, missing_numbers(tuple(missing)))
    if not elements.dictionary.null_count:
        return elements
    # A code of null becomes null itself.
    place = pa.array(np.arange(len(elements.dictionary)), pa.int32())
    own = pc.if_else(elements.dictionary.is_valid(), place, pa.scalar(None, pa.int32()))
    codes = own.take(elements.indices)
    return pa.DictionaryArray.from_arrays(codes, plain(elements.dictionary))


def write_bag(
    sink: Sink, column: Bag, found: Coded, first: int, start: int
) -> list[tuple[str, int]]:
    """Write the features of a bag; see `onepass.encode.vectors.write_vector`."""
    lists, width = found.lists, len(column.feature_names())
    distinct = as_text(plain(found.elements.dictionary)).cast(pa.string())
    level = pc.index_in(distinct, value_set=pa.array(column.levels, pa.string()))
    # The last feature is that of unknown values, as is the last code.
    feature_of = pc.fill_null(level, width - 1).to_numpy().astype(np.int64)
    codes, features = found.codes, np.zeros((len(lists.length), width), np.float32)
    unknown = _count_levels(codes, feature_of, lists.begin, lists.length, column.counted, features)
    if column.missing:
        features[lists.is_null, width - 2] = 1.0
    sink.matrix(features, first, start)
    return [
        ("unknown_level", int(unknown)),
        ("null_element", _nulls(codes, lists)),
        ("" if column.missing else "unexpected_null", int(lists.is_null.sum())),
    ]


def write_hashed_bag(
    sink: Sink, column: HashedBag, found: Coded, start: int, bits: int
) -> list[tuple[str, int]]:
    """Write the entries of a bag; see `onepass.encode.vectors.write_vector`."""
    lists, codes = found.lists, found.codes
    _, slot_of = slot_codes(found.elements, column.name, bits)
    assert slot_of is not None
    most = len(codes) + int(lists.is_null.sum())
    lengths = np.empty(len(lists.length), np.int64)
    taken, times = np.empty(most, np.int32), np.empty(most, np.float32)
    n_taken = _distinct_in_rows(
        *(codes, len(slot_of) - 1, lists.begin, lists.length, lists.is_null, column.counted),
        *(lengths, taken, times),
    )
    sink.entries(lengths, slot_of[taken[:n_taken]], times[:n_taken], start)
    return [("null_element", _nulls(codes, lists))]


def _nulls(codes: NDArray[np.int32], lists: Lists) -> int:
    # Behind a null list there may be elements that mean nothing.
    hidden = len(codes) - int(lists.length.sum())
    return max(0, int((codes < 0).sum()) - hidden) if len(codes) else 0


@compiled
def _count_levels(
    codes: NDArray[np.int32],
    feature_of: IntArray,
    begin: IntArray,
    length: IntArray,
    counted: bool,
    features: Float32Array,
) -> int:
    """Count the values of each row by feature; return how many belong to the last feature."""
    unknown, last = 0, features.shape[1] - 1
    for i in range(len(begin)):
        for k in range(begin[i], begin[i] + length[i]):
            if codes[k] < 0:
                continue
            feature = feature_of[codes[k]]
            unknown += feature == last
            if counted:
                features[i, feature] += np.float32(1.0)
            else:
                features[i, feature] = np.float32(1.0)
    return unknown


@compiled
def _distinct_in_rows(
    codes: NDArray[np.int32],
    n_codes: int,
    begin: IntArray,
    length: IntArray,
    is_null: NDArray[np.bool_],
    counted: bool,
    lengths: IntArray,
    taken: NDArray[np.int32],
    times: Float32Array,
) -> int:
    """Write the distinct codes of each row, in the order in which they first occur.

    A null row has the code `n_codes`.

    Parameters
    ----------
    lengths, taken, times
        Number of codes of each row, the codes, and how often each occurs, or 1 unless `counted`.

    Returns
    -------
    Number of all codes that were written.
    """
    row_of, place_of = np.full(n_codes, -1, np.int64), np.zeros(n_codes, np.int64)
    n_taken = 0
    for i in range(len(begin)):
        n_before = n_taken
        if is_null[i]:
            taken[n_taken], times[n_taken] = n_codes, 1.0
            n_taken += 1
        for k in range(begin[i], begin[i] + length[i]):
            code = codes[k]
            if code < 0:
                continue
            if row_of[code] != i:
                row_of[code], place_of[code] = i, n_taken
                taken[n_taken], times[n_taken] = code, 1.0
                n_taken += 1
            elif counted:
                times[place_of[code]] += np.float32(1.0)
        lengths[i] = n_taken - n_before
    return n_taken
