"""Fold the blocks of partitions into one small value where they are read, and add up these.

A task reads one run of partitions in one thread and returns one value, so rows never leave the
worker. A run is one partition, or several small ones. Within a run values are added block by block,
and then run by run, both in order. Runs follow from the rows of the partitions, so the total
depends neither on the workers nor on their number.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Generic, Protocol, TypeVar

from onepass.stream.readers import Placed, Readers
from onepass.stream.reading import Streamed
from onepass.stream.stop import Stopped
from onepass.stream.stream import stream
from onepass.stream.workers import Workers

RUN_ROWS = 1 << 17
"""Rows that end a run of partitions. On a cluster a task costs 5 ms of processor time (2 in this
process, 3 in the scheduler), which is what so many rows take."""

_RUN_FILES = 64
"""Maximum number of partitions in a run."""


class Total(Protocol):
    """A value of some rows, which the value of later rows can be added to."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        ...

    def add(self, other: Any, /) -> None:
        """Add the value of later rows in place."""
        ...


S = TypeVar("S")
T = TypeVar("T", bound=Total)


def runs(items: Iterable[S], rows_of: Callable[[S], int]) -> list[list[S]]:
    """Divide files or partitions into runs, each of which is read by one task.

    Parameters
    ----------
    rows_of
        Returns the number of rows of an item.
    """
    found: list[list[S]] = []
    n_rows = RUN_ROWS
    for item in items:
        if n_rows >= RUN_ROWS or len(found[-1]) >= _RUN_FILES:
            found.append([])
            n_rows = 0
        found[-1].append(item)
        n_rows += rows_of(item)
    return found


@dataclass(frozen=True, slots=True)
class Fold(Generic[T]):
    """Values of blocks to add up."""

    readers: Readers
    of_block: Callable[[Streamed], T]
    """Returns the value of a block; called on the worker that reads the block."""
    nbytes: int = 0
    """Approximate size of a value."""


def folded(
    parts: Sequence[Placed], fold: Fold[T], workers: Workers, advanced: Callable[[int], None]
) -> T | None:
    """Add up the values of all blocks of partitions.

    Each task reads a run of whole partitions. In threads of this process it reads one block instead
    if runs would leave some threads without work. The total is the same.

    Parameters
    ----------
    advanced
        Called with the number of rows of each value that has been added.

    Returns
    -------
    The total; None if there is no block.

    Raises
    ------
    DataError
        If a partition is bad: the error of the first one.
    """
    total = None
    found = runs(parts, lambda part: part.partition.rows)
    rows = [sum(part.partition.rows for part in run) for run in found]
    by = _by_run if fold.readers.suits_tasks(rows, workers) else _by_block
    values = by(found, fold, workers, advanced)
    with closing(values):
        for value in values:
            total = _added(total, value)
    return total


def _by_run(
    found: list[list[Placed]], fold: Fold[T], workers: Workers, advanced: Callable[[int], None]
) -> Generator[T, None, None]:
    readers = fold.readers
    shared, n_ahead = (
        replace(fold, readers=readers.shared(workers)),
        readers.ahead(workers, fold.nbytes),
    )
    values = workers.each(fold_run, shared, found, n_at_once=n_ahead)
    try:
        for value in values:
            if value is not None:
                n_rows = value.n_rows
                yield value
                advanced(n_rows)
    finally:
        shared.readers.stop.set()
        values.close()


def fold_run(fold: Fold[T], run: list[Placed]) -> T | None:
    """Read a run of partitions and add up the values of its blocks; None if it has no block."""
    total: T | None = None
    with suppress(Stopped):
        for part in run:
            for block in fold.readers.blocks_of(part):
                total = _added(total, fold.of_block(block))
    return total


def _by_block(
    found: list[list[Placed]], fold: Fold[T], workers: Workers, advanced: Callable[[int], None]
) -> Generator[T, None, None]:
    readers = fold.readers
    groups = [part.group(readers.check) for run in found for part in run]
    with closing(stream(groups, readers.reading, workers, fold.of_block)) as streamed:
        for run in found:
            total: T | None = None
            for value in chain.from_iterable(islice(streamed, len(run))):
                n_rows = value.n_rows
                total = _added(total, value)
                advanced(n_rows)
            if total is not None:
                yield total


def _added(total: T | None, value: T) -> T:
    if total is None:
        return value
    total.add(value)
    return total
