"""Encode sparse rows that have a number for each key: maps, and pairs of lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, IntArray, SlotArray
from onepass.encode.bags import Coded, coded
from onepass.encode.columns import floats
from onepass.encode.hashing import hash_slots, slot_codes
from onepass.encode.lists import Lists, lists_of
from onepass.encode.nested_kinds import Pairs, WeightMap
from onepass.encode.vectors import known_numbers
from onepass.encode.write.sink import Sink
from onepass.errors import BadColumn
from onepass.jit import compiled

_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True, slots=True)
class Weighted:
    """Keys of rows, and a number for each."""

    keys: Coded
    numbers: Lists
    """Places of the numbers of each row, as many as the row has keys."""
    elements: pa.Array
    """The numbers."""
    counts_up: NDArray[np.bool_]
    """Whether the keys of a row are left out: they are 0, 1, 2 and so on."""


def map_of(values: pa.Array) -> Weighted:
    """Take maps apart."""
    lists = lists_of(values)
    keys = coded(lists.of(values.keys))
    nowhere = np.zeros(len(values), np.bool_)
    return Weighted(Coded(lists, keys), lists, lists.of(values.items), nowhere)


def pairs_of(column: Pairs, index: pa.Array, value: pa.Array) -> Weighted:
    """Put lists of indices and lists of numbers together.

    Raises
    ------
    BadColumn
        If the two lists of a row have different lengths.
    """
    keys, numbers = lists_of(index), lists_of(value)
    counts_up = keys.is_null & ~numbers.is_null
    wrong = np.flatnonzero((keys.length != numbers.length) & ~counts_up)
    if len(wrong):
        n_keys, n_numbers = keys.length[wrong[0]], numbers.length[wrong[0]]
        raise BadColumn(
            f"expected as many numbers as indices in each row, found {n_numbers} of {n_keys} in "
            f"one row (different in {len(wrong):,} of {len(keys.length):,} rows)",
            column.name,
            "Repair the file, or skip it (--on-bad skip).",
        )
    coded_keys = Coded(keys, coded(keys.of(index.values)))
    return Weighted(coded_keys, numbers, numbers.of(value.values), counts_up)


def write_weighted(
    sink: Sink, column: WeightMap | Pairs, found: Weighted, start: int, bits: int
) -> list[tuple[str, int]]:
    """Write the entries of maps or pairs; see `onepass.encode.vectors.write_vector`."""
    keys, numbers = found.keys.lists, found.numbers
    elements = known_numbers(found.elements, column.missing_texts)
    _, slot_of = slot_codes(found.keys.elements, column.name, bits)
    assert slot_of is not None
    up = int(numbers.length[found.counts_up].max(initial=0))
    counted = hash_slots(pa.array(np.arange(up)), column.name, bits) if up else slot_of[:0]
    is_null = keys.is_null & ~found.counts_up
    most = int(numbers.length.sum()) + int(is_null.sum())
    lengths = np.empty(len(keys.length), np.int64)
    slots, values = np.empty(most, np.int32), np.empty(most, np.float32)
    n_taken, no_key, no_number = _weighted_entries(
        *(found.keys.codes, slot_of, keys.begin, is_null, found.counts_up, counted),
        *(_floats(elements), numbers.begin, numbers.length, 1.0 / column.scale),
        *(lengths, slots, values),
    )
    sink.entries(lengths, slots[:n_taken], values[:n_taken], start)
    nulls = min(elements.null_count, int(no_number))
    return [("null_element", int(no_key) + nulls), ("non_finite", int(no_number) - nulls)]


def _floats(elements: pa.Array) -> FloatArray:
    return np.zeros(0) if pa.types.is_null(elements.type) else floats(elements)


@compiled
def _weighted_entries(
    codes: NDArray[np.int32],
    slot_of: SlotArray,
    key_begin: IntArray,
    is_null: NDArray[np.bool_],
    counts_up: NDArray[np.bool_],
    counted: SlotArray,
    numbers: FloatArray,
    begin: IntArray,
    length: IntArray,
    factor: float,
    lengths: IntArray,
    slots: SlotArray,
    values: Float32Array,
) -> tuple[int, int, int]:
    """Write the entries of each row; a null row has the last slot of `slot_of`.

    Returns
    -------
    Numbers of entries that were written, of keys that are null, and of numbers that are null or
    cannot be used.
    """
    n_taken, no_key, no_number = 0, 0, 0
    for i in range(len(length)):
        n_before = n_taken
        if is_null[i]:
            slots[n_taken], values[n_taken] = slot_of[len(slot_of) - 1], 1.0
            n_taken += 1
        for k in range(length[i]):
            v = numbers[begin[i] + k] * factor
            if not abs(v) <= _LARGEST:
                no_number += 1
                continue
            if v == 0.0:
                continue
            if counts_up[i]:
                slot = counted[k]
            else:
                code = codes[key_begin[i] + k]
                if code < 0:
                    no_key += 1
                    continue
                slot = slot_of[code]
            slots[n_taken], values[n_taken] = slot, np.float32(v)
            n_taken += 1
        lengths[i] = n_taken - n_before
    return n_taken, no_key, no_number
