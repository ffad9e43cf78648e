"""Units of work: a partition cut into pieces of bounded size, one for each decoding task.

A unit is a sequence of small row groups, or one slice of a large row group. Only the partition and
`batch_rows` decide the edges of units, neither the place where a run resumed nor free memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onepass.lake.footer import Footer
from onepass.partition import Partition


@dataclass(frozen=True, slots=True)
class Unit:
    """Row groups, or one slice of a row group, that one task decodes."""

    row_groups: tuple[int, ...]
    """Row groups of the file, in the order of their rows in the unit."""

    rows: int
    """Number of rows in the unit."""

    offset: int = 0
    """First row of the slice within its row group."""

    is_slice: bool = False
    """Whether the unit is only a part of its row group."""

    @property
    def place(self) -> tuple[int, int]:
        """Row group and row in it at which the unit starts; unique within a partition."""
        return (self.row_groups[0], self.offset)


def units(
    partition: Partition, footer: Footer, batch_rows: int, order: Sequence[int] | None = None
) -> Iterator[Unit]:
    """Cut a partition into units of at most `batch_rows` rows, in stored order or in `order`.

    Parameters
    ----------
    order
        The partition's row groups, or some of them, in the order to read them; by default all in
        stored order.
    """
    rows_of = footer.row_group_rows()
    pack: list[int] = []
    packed = 0
    for group in order or range(partition.first_row_group, partition.end_row_group):
        rows = rows_of[group]
        if pack and packed + rows > batch_rows:
            yield Unit(tuple(pack), packed)
            pack, packed = [], 0
        if rows > batch_rows:
            for offset in range(0, rows, batch_rows):
                yield Unit((group,), min(batch_rows, rows - offset), offset, is_slice=True)
        elif rows:
            pack.append(group)
            packed += rows
    if pack:
        yield Unit(tuple(pack), packed)
