"""Run calls in threads of this process, ahead of a consumer: in order, and only a few at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

WINDOW = 3
"""Number of blocks that are made, or wait, ahead of the consumer, in threads of one process."""


class Threads:
    """Threads of this process; see `onepass.stream.workers.Workers` for the methods."""

    is_cluster = False

    def __init__(self) -> None:
        self.n_threads = self.n_threads_each = max(2, os.cpu_count() or 2)
        self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="onepass")

    def close(self) -> None:
        """Wait for the calls that run, and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, call: Callable[[], R]) -> Future[R]:
        """Run a call in a thread."""
        return self._pool.submit(call)

    def ordered(self, calls: Iterable[tuple[Callable[[], R], bool]]) -> Generator[R, None, None]:
        """Yield the results of calls in their order, of which `WINDOW` run ahead."""
        return self._results((call for call, _ in calls), WINDOW + 1)

    def each(
        self,
        function: Callable[[S, T], R],
        shared: S,
        tasks: Iterable[T],
        *,
        n_at_once: int | None = None,
    ) -> Generator[R, None, None]:
        """Yield ``function(shared, task)`` for each task, in the order of the tasks."""
        calls = (partial(function, shared, task) for task in tasks)
        return self._results(calls, self.n_threads if n_at_once is None else n_at_once)

    def _results(self, calls: Iterable[Callable[[], R]], most: int) -> Generator[R, None, None]:
        under_way: deque[Future[R]] = deque()
        try:
            for call in calls:
                under_way.append(self.submit(call))
                if len(under_way) >= most:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
