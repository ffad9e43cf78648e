"""Sparse rows hold the entries that the columns gave, in any order of rows."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.arrays import empty
from onepass.block import Linear
from onepass.encode.write.margins import Margins
from onepass.encode.write.rows import Rows

N_ROWS, N_SLOTS = 300, 64


def columns(rng, n_rows):
    """Return the entries of two columns: lengths, slots and values of each."""
    found = []
    for most in (5, 2):
        lengths = rng.integers(0, most + 1, n_rows)
        n = lengths.sum()
        slots = np.concatenate([rng.permutation(20)[:k] + 20 * (most == 2) for k in lengths])
        slots = slots.astype(np.int32)
        found.append((lengths, slots, rng.normal(size=n).astype(np.float32)))
    return found


def listed(entries):
    """Return each row's entries as a list of pairs."""
    return [
        [*zip(row.slot.tolist(), row.value.tolist(), strict=True)]
        for row in (entries.between(i, i + 1) for i in range(len(entries.start) - 1))
    ]


def write(sink, cut, seed=3):
    """Write rows in parts of `cut` rows; return the entries of each row in plain Python."""
    rng, expected = np.random.default_rng(seed), []
    for start in range(0, N_ROWS, cut):
        n = min(cut, N_ROWS - start)
        rows = [[] for _ in range(n)]
        for lengths, slots, values in columns(rng, n):
            sink.entries(lengths, slots, values, start)
            k = 0
            for row, length in zip(rows, lengths, strict=True):
                for _ in range(length):
                    row.append((int(slots[k]), float(values[k])))
                    k += 1
        expected += rows
    return expected


@pytest.mark.parametrize("cut", [7, 300])
def test_a_block_has_the_entries_of_each_row_in_the_order_of_its_rows(cut):
    place = np.random.default_rng(1).permutation(N_ROWS)
    sink = Rows(0, 0, place, has_entries=True)
    expected = write(sink, cut)
    found = listed(sink.sparse())
    assert [found[at] for at in place] == expected


def test_margins_of_entries_are_the_sums_of_weights_times_values():
    rng = np.random.default_rng(2)
    weights = Linear(np.array([0.5, -1.0]), np.zeros((2, 0)), rng.normal(size=(N_SLOTS, 2)))
    sink = Margins(weights, N_ROWS)
    rows = write(sink, 50)
    expected = [
        weights.intercept + sum((x * weights.hashed[slot] for slot, x in row), np.zeros(2))
        for row in rows
    ]
    np.testing.assert_allclose(sink.margins.T, expected, rtol=1e-12)
    assert sink.sparse() is None


def test_rows_without_any_entry_are_empty_rows():
    sink = Rows(0, 0, np.arange(4), has_entries=True)
    sink.entries(np.zeros(4, np.int64), empty((0,), np.int32), empty((0,), np.float32), 0)
    assert listed(sink.sparse()) == [[], [], [], []]
    assert listed(Rows(0, 0, np.arange(2), has_entries=True).sparse()) == [[], []]
    assert Rows(0, 0, np.arange(2)).sparse() is None


def test_lengths_that_do_not_add_up_to_the_entries_are_an_error():
    sink = Rows(0, 0, np.arange(2), has_entries=True)
    with pytest.raises(ValueError, match="add up to 3; 2 slots"):
        sink.entries(np.array([1, 2]), np.zeros(2, np.int32), np.zeros(2, np.float32), 0)


def test_values_of_the_same_slot_in_a_row_are_summed_where_it_comes_first():
    rng = np.random.default_rng(4)
    lengths = rng.integers(0, 40, N_ROWS)
    slots = (8192 * rng.integers(0, 12, lengths.sum())).astype(np.int32)
    values = rng.integers(-9, 9, lengths.sum()).astype(np.float32)
    sink = Rows(0, 0, np.arange(N_ROWS), has_entries=True)
    sink.entries(lengths, slots, values, 0)
    expected, k = [], 0
    for length in lengths:
        row: dict[int, float] = {}
        for slot, x in zip(slots[k : k + length], values[k : k + length], strict=True):
            row[int(slot)] = row.get(int(slot), 0.0) + float(x)
        expected.append([*row.items()])
        k += length
    assert listed(sink.sparse()) == expected
