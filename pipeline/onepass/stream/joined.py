"""Join small blocks, as a condition leaves them that few rows meet.

A learner takes some time for each block whatever its size, and a block of few rows tells it little.
The rows of the blocks alone decide which are joined, so every run learns the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from onepass.block import Block
from onepass.encode.encoder import Encoded
from onepass.stream.reading import Streamed


def joined(blocks: Iterable[Streamed], most_rows: int) -> Iterator[Streamed]:
    """Yield the same rows in the same order; joined blocks have at most `most_rows`.

    Parameters
    ----------
    blocks
        Blocks to learn, without margins and without kept columns.
    """
    waiting: list[Streamed] = []
    n_rows = 0
    for block in blocks:
        if waiting and n_rows + block.encoded.block.n_rows > most_rows:
            yield _join(waiting)
            waiting, n_rows = [], 0
        waiting.append(block)
        n_rows += block.encoded.block.n_rows
    if waiting:
        yield _join(waiting)


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
