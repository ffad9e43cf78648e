"""Call a function for each file of a lake, as of its footer: here, in threads, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from onepass.lake.discover import LakeFile
from onepass.stream.workers import Workers

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

_LOCAL_FILES, _REMOTE_FILES = 64, 8
"""Files of one task on a cluster. A footer takes 0.2 to 0.5 ms on a disk, and two requests of an
object store; a task costs a millisecond."""


def each_file(
    function: Callable[[S, T], R],
    shared: S,
    items: Sequence[T],
    workers: Workers,
    file_of: Callable[[T], LakeFile | None],
) -> Iterator[R]:
    """Yield ``function(shared, item)`` for each item, in the order of the items.

    Threads wait for an object store side by side. They do not read files of a disk any faster than
    one thread does: pyarrow's parser and ours hold the GIL (415 us a footer by one thread, 475 by
    two), so these are read here. A cluster takes some files at a time.

    Parameters
    ----------
    file_of
        Returns the file of an item.
    """
    is_remote = any((file := file_of(one)) is not None and file.remote for one in items)
    if not workers.is_cluster and not is_remote:
        for item in items:
            yield function(shared, item)
        return
    n_files = 1 if not workers.is_cluster else _REMOTE_FILES if is_remote else _LOCAL_FILES
    with closing(workers.each(_call, _Call(function, shared), _batches(items, n_files))) as found:
        for results in found:
            yield from results


@dataclass(frozen=True, slots=True)
class _Call(Generic[S, T, R]):
    function: Callable[[S, T], R]
    shared: S


def _call(call: _Call[S, T, R], items: list[T]) -> list[R]:
    return [call.function(call.shared, item) for item in items]


def _batches(items: Sequence[T], n_items: int) -> Iterator[list[T]]:
    left = iter(items)
    while batch := list(islice(left, n_items)):
        yield batch
