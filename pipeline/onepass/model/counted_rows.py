"""Tell how many rows have a frequent value, where the rows that were looked at tell it.

Long blocks are looked at in part, see `onepass.encode.frequent`: some of their rows stand for all,
and each column has its turn in some of the blocks. So a count of few rows that were looked at is
left to chance, and so is one of few blocks. Values behind the commonest of a block are not counted
in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from onepass.encode.frequent import LONG, LOOKED_AT, NOTED_EVERY, PER_BATCH, rows_each
from onepass.ledger.entries import TrainEntry
from onepass.partition import Partition

_MOST_ERROR = 0.5
"""Relative standard deviation up to which a number is told: it is hardly twice or half the true
one."""


@dataclass(frozen=True, slots=True)
class CountedRows:
    """How the counts of frequent values have come about."""

    rows: int
    """Rows that were learnt, once for each epoch."""
    each: float
    """Rows that one row which was looked at stands for, on average."""
    by_blocks: float
    """Relative standard deviation of a count because it is that of some blocks."""
    epochs: float
    """How often each row was learnt and so counted, on average."""

    @classmethod
    def of(cls, batch_rows: int, trained: Iterable[TrainEntry]) -> CountedRows:
        """Return how counts come about in blocks of at most this many rows."""
        rows = each = squares = counted = once = 0.0
        for entry in trained:
            counted += entry.rows
            once += entry.rows if entry.epoch == 1 else 0
            for one in entry.partitions:
                times, block, n_blocks, part = _blocks(one, batch_rows)
                rows += one.rows
                each += one.rows * times * rows_each(part)
                squares += (times - 1) * (n_blocks - 1) * block**2
        return cls(
            int(rows),
            each / rows if rows else 1.0,
            math.sqrt(squares) / rows if rows else 0.0,
            counted / once if once else 1.0,
        )

    def estimate(self, place: int, count: int) -> int | None:
        """Return about how many rows have a value, to two digits; None if the count is no guide.

        Parameters
        ----------
        place
            Number of values of the column with higher counts.
        count
            Count of the value.
        """
        if place >= PER_BATCH or count <= 0:
            return None
        if math.hypot(math.sqrt(self.each / count), self.by_blocks) > _MOST_ERROR:
            return None
        return int(float(f"{count * self._undercount(count) / self.epochs:.2g}"))

    def _undercount(self, count: int) -> float:
        """Return the factor by which a count is too low because values that occur once are not
        counted in a batch that is looked at in part.

        If a value is expected x times among its rows, x (1 - exp(-x)) are counted.
        """
        if self.each < 2:
            return 1.0
        counted = count * LOOKED_AT / self.rows
        expected = counted + math.sqrt(counted)
        for _ in range(50):
            expected = counted / -math.expm1(-expected)
        return expected / counted

    def exact(self, count: int) -> int:
        """Return the rows of a value that is counted in every block, as those of folders are."""
        return round(count / self.epochs)


def _blocks(partition: Partition, batch_rows: int) -> tuple[int, float, int, int]:
    """Return how often a count counts, rows of a block, blocks, and rows encoded at a time."""
    n_blocks = max(1, -(-partition.rows // batch_rows))
    block = partition.rows / n_blocks
    times = NOTED_EVERY if n_blocks > 1 and block > LONG else 1
    n_row_groups = max(1, partition.end_row_group - partition.first_row_group)
    return times, block, n_blocks, int(min(block, partition.rows / n_row_groups))
