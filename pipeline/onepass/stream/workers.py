"""Run Dask tasks ahead of a consumer: in order, and only a few at a time.

Dask would compute all results at once, whatever the pace of the consumer. So `Workers` submits a
window of a few tasks. The consumer waits for the oldest task, and a new one takes its place.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from dask.core import get
from dask.delayed import Delayed
from threadpoolctl import threadpool_limits

from onepass.errors import JobError

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

WINDOW = 3
"""Number of tasks that run, or have finished, ahead of the consumer."""


class Workers:
    """Threads of this process, or a Dask cluster; use as a context manager.

    Within the context BLAS has one thread. The cores are for the tasks, and the order of sums does
    not depend on the number of cores.

    Parameters
    ----------
    address
        Address of a Dask scheduler, whose workers must see the lake under the same paths; None for
        threads of this process.

    Raises
    ------
    JobError
        If no scheduler answers at the address, or `distributed` is not installed.
    """

    def __init__(self, address: str | None = None) -> None:
        self.n_threads = max(2, os.cpu_count() or 2)
        """Number of tasks that can run at the same time."""
        self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="onepass")
        self._client = _connect(address) if address else None
        self._stack = ExitStack()

    @property
    def is_cluster(self) -> bool:
        """Whether tasks run in other processes, which rows would have to leave."""
        return self._client is not None

    def __enter__(self) -> Workers:
        self._stack.enter_context(threadpool_limits(1, "blas"))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def ordered(self, tasks: Iterable[tuple[Delayed, bool]]) -> Generator[Any, None, None]:
        """Yield the results of tasks in the order of the tasks, of which a few run ahead.

        Parameters
        ----------
        tasks
            Pairs of a task and whether it must run in this process, because it shares a decoder
            with other tasks.
        """
        under_way: deque[Any] = deque()
        try:
            for task, is_local in tasks:
                under_way.append(self._submit(task, is_local))
                if len(under_way) > WINDOW:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def each(
        self,
        function: Callable[[S, T], R],
        shared: S,
        tasks: Iterable[T],
        *,
        n_at_once: int | None = None,
    ) -> Generator[R, None, None]:
        """Yield ``function(shared, task)`` for each task, in the order of the tasks.

        Calls are pure: a call may be repeated, by another worker, and its first result counts.

        Parameters
        ----------
        shared
            Value that all calls read and none changes; it is sent once to each worker.
        n_at_once
            Most calls that run at the same time, and most results that wait for their turn; by
            default as many as there are threads.
        """
        most = self.n_threads if n_at_once is None else n_at_once
        under_way: deque[Future[R]] = deque()
        try:
            for task in tasks:
                key = f"task-{uuid4().hex}"
                # Dask would look for tasks within arguments, so there are none.
                graph = {key: (partial(function, shared, task),)}
                under_way.append(self._pool.submit(get, graph, key))
                if len(under_way) >= most:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def _submit(self, task: Delayed, is_local: bool) -> Future[Any] | Any:
        if self._client is not None and not is_local:
            return self._client.compute(task)
        # Each graph is a single call, which needs none of the planning of Dask's schedulers.
        return self._pool.submit(get, task.__dask_graph__(), task.key)


def _connect(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise JobError(
            "--dask needs the extra 'distributed': pip install 'onepass[distributed]'"
        ) from None
    try:
        return Client(address, timeout="20s")  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise JobError(f"no Dask scheduler answers at {address!r}: {error}") from None
