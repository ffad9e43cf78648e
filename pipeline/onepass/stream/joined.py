"""Join small blocks, as a condition leaves them that few rows meet.

A learner takes some time for each block whatever its size, and a block of few rows tells it little.
The rows of the blocks alone decide which are joined, so every run learns the same ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from onepass.block import Block
from onepass.encode.encoder import Encoded
from onepass.stream.reading import Streamed


class Joiner:
    """Joins the blocks that it is given one after another; a joined one has at most `most_rows`.

    Its blocks have the same rows in the same order.
    """

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        self._waiting: list[Streamed] = []
        self._n_rows = 0

    def add(self, block: Streamed) -> Streamed | None:
        """Take a block to learn, without margins and without kept columns.

        Returns
        -------
        The blocks before it as one, once this one does not fit beside them.
        """
        full = None
        if self._n_rows + block.encoded.block.n_rows > self._most_rows:
            full = self.rest()
        self._waiting.append(block)
        self._n_rows += block.encoded.block.n_rows
        return full

    def rest(self) -> Streamed | None:
        """Return the blocks that wait as one; None if none does."""
        waiting, self._waiting, self._n_rows = self._waiting, [], 0
        return _join(waiting) if waiting else None


def _join(blocks: list[Streamed]) -> Streamed:
    if len(blocks) == 1:
        return blocks[0]
    held_out = [one.held_out for one in blocks if one.held_out is not None]
    return Streamed(
        _join_encoded([one.encoded for one in blocks]),
        Block.concatenated(held_out) if held_out else None,
        None,
    )


def _join_encoded(parts: list[Encoded]) -> Encoded:
    counts: Counter[str] = Counter()
    frequent: dict[str, Counter[str]] = {}
    for part in parts:
        counts.update(part.counts)
        for name, found in part.frequent.items():
            frequent.setdefault(name, Counter()).update(found)
    return replace(
        parts[0],
        block=Block.concatenated([part.block for part in parts]),
        counts=counts,
        frequent=frequent,
        rows=np.concatenate([part.rows for part in parts]),
    )
