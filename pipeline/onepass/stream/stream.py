"""Stream partitions as blocks, which Dask tasks decode and encode ahead of the consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn, TypeVar

from onepass.encode.schema import family
from onepass.errors import DataError
from onepass.lake.rotation import Columns, Source, Step, rounds
from onepass.stream.blocks import BlockTask, make_block
from onepass.stream.reading import Reading, Streamed
from onepass.stream.workers import Workers

T = TypeVar("T")

_WITH_TEXTS = frozenset({"text", "texts", "entries", "weights"})
"""Families of types that may hold texts."""


@dataclass(frozen=True, slots=True)
class ReadGroup:
    """Partitions that are read in rotation, as one sequence of blocks."""

    open: Callable[[], Sequence[Source]]
    """Returns the partitions with their files; called when reading reaches this group."""
    epoch: int = 1
    """Number of the pass over these partitions, from 1; each pass has its own order."""


def stream(
    groups: Sequence[ReadGroup],
    reading: Reading,
    workers: Workers,
    function: Callable[[Streamed], T],
) -> Generator[Iterator[T], None, None]:
    """Map `function` over each group's blocks, on the worker that reads them.

    Reading runs ahead across groups, so exhaust each iterator before taking the next one.

    Parameters
    ----------
    function
        Called with each block, in another thread or on another machine.

    Yields
    ------
    An iterator of results for each group, in the order of the groups. Its results are in the order
    of the blocks.

    Raises
    ------
    DataError
        If `ReadGroup.open` or `make_block` fails. The iterator raises the error when the result of
        that block is due.
    """
    ends: deque[bool] = deque()
    results = workers.ordered(_tasks(groups, reading, function, ends))

    def results_of_group() -> Iterator[T]:
        for result in results:
            is_last = ends.popleft()
            if result is not None:
                yield result
            if is_last:
                return

    try:
        for _ in groups:
            yield results_of_group()
    finally:
        results.close()


def blocks_of(group: ReadGroup, reading: Reading) -> Generator[Streamed, None, None]:
    """Read a group in this thread, without reading ahead; the blocks are those of `stream`.

    Raises
    ------
    DataError
        If `ReadGroup.open` or `make_block` fails.
    """
    for number, steps in enumerate(_rounds(group, reading)):
        yield make_block(BlockTask(steps, group.epoch, number), reading)


def _tasks(
    groups: Sequence[ReadGroup],
    reading: Reading,
    function: Callable[[Streamed], T],
    ends: deque[bool],
) -> Iterator[tuple[Callable[[], T | None], bool]]:
    """Yield a call for each block, with whether it must run in this process.

    Append to `ends`, for each call, whether it is the last of its group.
    """
    for group in groups:
        block: BlockTask | None = None
        try:
            for number, steps in enumerate(_rounds(group, reading)):
                if block is not None:
                    ends.append(False)
                    yield _task(block, reading, function)
                block = BlockTask(steps, group.epoch, number)
        except DataError as error:
            # A task raises the error in its turn, after the groups before this one are learnt.
            ends.append(True)
            yield partial(_raise, error), True
        else:
            ends.append(True)
            # A group without rows has a task as well, or its iterator would never end.
            yield _task(block, reading, function) if block else (_nothing, True)


def _rounds(group: ReadGroup, reading: Reading) -> Iterator[list[Step]]:
    sources = group.open()
    # The reader may ask only for texts as dictionaries, be they those of lists or of maps.
    in_files = {f.name for s in sources for f in s.footer.schema if family(f.type) in _WITH_TEXTS}
    texts, counted = frozenset(reading.text_names()) & in_files, reading.counted
    counted = replace(counted, texts=tuple(name for name in counted.texts if name in in_files))
    return rounds(
        sources,
        Columns(reading.columns(), texts, reading.encoder.schema.int96, counted),
        reading.batch_rows,
        seed=reading.seed,
        epoch=group.epoch,
        whole_bytes=reading.whole_bytes,
        spread_bytes=reading.spread_bytes,
        limits=reading.limits,
    )


def _task(
    block: BlockTask, reading: Reading, function: Callable[[Streamed], T]
) -> tuple[Callable[[], T], bool]:
    return partial(_mapped, function, block, reading), block.is_local


def _mapped(function: Callable[[Streamed], T], block: BlockTask, reading: Reading) -> T:
    return function(make_block(block, reading))


def _nothing() -> None:
    return None


def _raise(error: DataError) -> NoReturn:
    raise error
