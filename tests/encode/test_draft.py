"""Draft: parts fill a block in any order of rows, and never more rows than were announced."""

from __future__ import annotations

import numpy as np
import pytest

from encoders import COLUMNS, FOLDERS, encoder, linear, rows
from onepass.arrays import as_batch
from onepass.encode.encoder import Part

FIELDS = ("dense", "slots", "label", "weight")


def parts_of(table, *sizes):
    """Consecutive parts of a table with these numbers of rows."""
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    return [
        Part(as_batch(table.slice(at, n)), FOLDERS) for at, n in zip(starts, sizes, strict=True)
    ]


def filled(draft, *parts):
    """The block of a draft that is filled with these parts."""
    for part in parts:
        draft.write(part)
    return draft.finish()


def test_block_has_the_rows_of_all_parts_in_the_order_asked_for():
    encode, table = encoder([*COLUMNS], drop_null_label=True), rows(700)
    stored = filled(encode.draft(700), *parts_of(table, 700))
    order = np.random.default_rng(0).permutation(700)
    shuffled = filled(encode.draft(700, order), *parts_of(table, 250, 1, 449))
    assert shuffled.counts == stored.counts
    assert stored.counts["null_label"] == 700 - stored.block.n_rows > 0
    np.testing.assert_array_equal(shuffled.rows, order[np.isin(order, stored.rows)])
    place_of = np.full(700, -1)
    place_of[stored.rows] = np.arange(len(stored.rows))
    for field in FIELDS:
        expected = getattr(stored.block, field)[place_of[shuffled.rows]]
        np.testing.assert_array_equal(getattr(shuffled.block, field), expected)
    sparse = stored.block.entries.take(place_of[shuffled.rows])
    for field in ("start", "slot", "value"):
        found = getattr(shuffled.block.entries, field)
        np.testing.assert_array_equal(found, getattr(sparse, field))


@pytest.mark.parametrize("kinds", [["folders", "hashed"], ["numbers"]], ids=", ".join)
@pytest.mark.parametrize("n_outputs", [None, 2])
def test_parts_without_rows_change_nothing(kinds, n_outputs):
    encode = encoder(kinds)
    weights = linear(encode.schema, n_outputs) if n_outputs else None
    cut, whole = (encode.draft(20, label=False, linear=weights) for _ in range(2))
    found = filled(cut, *parts_of(rows(20), 0, 9, 0, 11, 0))
    expected = filled(whole, *parts_of(rows(20), 20))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(found.block, field), getattr(expected.block, field))
    np.testing.assert_equal(found.margins, expected.margins)


def test_rows_beyond_those_announced_are_refused():
    draft = encoder(["numbers"]).draft(20, label=False)
    first, second = parts_of(rows(29), 20, 9)
    draft.write(first)
    with pytest.raises(ValueError, match="expected 20 rows in all, found 29"):
        draft.write(second)


def test_margins_in_another_order_of_rows_are_refused():
    encode = encoder(["numbers"])
    with pytest.raises(ValueError, match="in the order of the rows"):
        encode.draft(3, np.arange(3), linear=linear(encode.schema, 1))
