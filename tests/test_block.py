"""Blocks: rows stay together, whatever is taken or cut."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.block import Block, Entries


def numbered_block(n_rows: int) -> Block:
    """Return a block in which every array holds the number of its row.

    Row i has i % 3 entries.
    """
    at = np.arange(n_rows)
    start = np.append(0, np.cumsum(at % 3))
    own = np.repeat(at, at % 3)
    return Block(
        np.stack([at, -at], axis=1).astype(np.float32),
        np.stack([at, at + 1], axis=1).astype(np.int32),
        at.astype(float),
        at + 0.5,
        Entries(start, own.astype(np.int32), own.astype(np.float32)),
        at + 0.25,
        at + (1 << 40),
    )


def assert_rows(block: Block, expected: np.ndarray) -> None:
    at = expected.astype(float)
    assert block.n_rows == len(at)
    np.testing.assert_array_equal(block.dense, np.stack([at, -at], axis=1))
    np.testing.assert_array_equal(block.slots, np.stack([at, at + 1], axis=1))
    np.testing.assert_array_equal(block.label, at)
    np.testing.assert_array_equal(block.weight, at + 0.5)
    np.testing.assert_array_equal(block.offset, at + 0.25)
    np.testing.assert_array_equal(block.cluster, at + (1 << 40))
    own, entries = np.repeat(at, (at % 3).astype(int)), block.entries
    np.testing.assert_array_equal(entries.lengths, at % 3)
    assert entries.start[0] == 0
    assert entries.start[-1] == len(entries.slot) == len(entries.value)
    np.testing.assert_array_equal(entries.slot, own)
    np.testing.assert_array_equal(entries.value, own)


def test_take_keeps_rows_together_in_the_order_asked_for():
    for index in ([], [3], [4, 0, 4, 2]):
        index = np.array(index, np.int64)
        assert_rows(numbered_block(5).take(index), index)


@pytest.mark.parametrize("n_rows", [0, 1, 9, 10, 19, 20, 25, 1000])
def test_pieces_are_consecutive_nearly_equal_and_not_too_small(n_rows):
    pieces = list(numbered_block(n_rows).pieces(10))
    sizes = [piece.n_rows for piece in pieces]
    first = 0
    for piece in pieces:
        assert_rows(piece, np.arange(first, first + piece.n_rows))
        first += piece.n_rows
    assert first == n_rows
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(10, n_rows)
    assert max(sizes) < 20


def test_pieces_share_memory_with_the_block():
    block = numbered_block(40)
    for piece in block.pieces(10):
        assert np.shares_memory(piece.dense, block.dense)
        assert np.shares_memory(piece.entries.slot, block.entries.slot)
        assert piece.dense.flags.c_contiguous
