"""Units of work: a partition cut into pieces of bounded size, one for each decoding task.

A unit is a sequence of small row groups, or a part of a large row group: a slice, or a share with
rows from all over it. Only the partition, `batch_rows` and the seed decide the edges of units,
neither the place where a run resumed nor free memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from onepass.lake.footer import Footer
from onepass.lake.spread import Share, Spread
from onepass.partition import Partition

Spreads: TypeAlias = "Callable[[int, int, int], Spread]"
"""Function of a row group, its rows and the number of shares: the cut of that row group."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Row groups, or a part of one row group, that one task decodes."""

    row_groups: tuple[int, ...]
    """Row groups of the file, in the order of their rows in the unit."""

    rows: int
    """Number of rows in the unit."""

    offset: int = 0
    """First row of the slice or share within its row group."""

    is_slice: bool = False
    """Whether the unit is only a part of its row group."""

    share: Share | None = None
    """The part of its row group if that is not a slice."""

    def ranges(self, rows_of: Sequence[int]) -> list[tuple[int, int, int]]:
        """Return row group, first row in it and number of rows of each range, in their order.

        Parameters
        ----------
        rows_of
            Rows of each row group of the file.
        """
        if self.share is not None:
            return [(self.row_groups[0], first, rows) for first, rows in self.share.pieces]
        if self.is_slice:
            return [(self.row_groups[0], self.offset, self.rows)]
        return [(group, 0, rows_of[group]) for group in self.row_groups]

    @property
    def place(self) -> tuple[int, int]:
        """Row group and row in it at which the unit starts; unique within a partition."""
        return (self.row_groups[0], self.offset)


def units(
    partition: Partition,
    footer: Footer,
    batch_rows: int,
    order: Sequence[int] | None = None,
    spreads: Spreads | None = None,
) -> Iterator[Unit]:
    """Cut a partition into units of at most `batch_rows` rows, in stored order or in `order`.

    Parameters
    ----------
    order
        The partition's row groups, or some of them, in the order to read them; by default all in
        stored order.
    spreads
        Cut of each large row group into shares; by default it is cut into slices.
    """
    rows_of = footer.row_group_rows()
    pack: list[int] = []
    packed = 0
    for group in order or range(partition.first_row_group, partition.end_row_group):
        rows = rows_of[group]
        if pack and packed + rows > batch_rows:
            yield Unit(tuple(pack), packed)
            pack, packed = [], 0
        if rows > batch_rows and spreads is not None:
            spread = spreads(group, rows, -(-rows // batch_rows))
            for number in range(spread.n_shares):
                share = Share(spread, number)
                first = share.pieces[0][0]
                yield Unit((group,), share.rows, first, is_slice=True, share=share)
        elif rows > batch_rows:
            for offset in range(0, rows, batch_rows):
                yield Unit((group,), min(batch_rows, rows - offset), offset, is_slice=True)
        elif rows:
            pack.append(group)
            packed += rows
    if pack:
        yield Unit(tuple(pack), packed)
