"""Blocks: rows stay together, whatever is taken or cut."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.block import Block


def numbered_block(n_rows: int) -> Block:
    """Return a block in which every array holds the number of its row."""
    at = np.arange(n_rows)
    return Block(
        np.stack([at, -at], axis=1).astype(np.float32),
        np.stack([at, at + 1], axis=1).astype(np.int32),
        at.astype(float),
        at + 0.5,
    )


def assert_rows(block: Block, expected: np.ndarray) -> None:
    at = expected.astype(float)
    assert block.n_rows == len(at)
    np.testing.assert_array_equal(block.dense, np.stack([at, -at], axis=1))
    np.testing.assert_array_equal(block.slots, np.stack([at, at + 1], axis=1))
    np.testing.assert_array_equal(block.label, at)
    np.testing.assert_array_equal(block.weight, at + 0.5)


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
        assert piece.dense.flags.c_contiguous
