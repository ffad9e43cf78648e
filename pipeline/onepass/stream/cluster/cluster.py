"""A Dask cluster as workers: check them, watch over them, and make calls on them in order."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, suppress
from itertools import islice
from typing import Any, TypeVar

from onepass.errors import DataError
from onepass.lake.discover import LakeFile
from onepass.stream.cluster.connection import LoopThread, import_distributed, quiet, serialized
from onepass.stream.cluster.dispatch import NOTHING, Dispatch, Pending
from onepass.stream.cluster.hub import Hub
from onepass.stream.cluster.patience import Patience
from onepass.stream.cluster.remote import Call, Seen
from onepass.stream.threads import WINDOW, Threads

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

_LOOK_SECONDS = 0.5
"""Seconds of waiting for a result after which calls are made for workers that have joined."""


class Cluster:
    """Workers of a Dask cluster; see `onepass.stream.workers.Workers` for the methods.

    Parameters
    ----------
    address
        Address of the scheduler.
    mixed
        Whether workers may have another environment than this process.

    Raises
    ------
    JobError
        If `distributed` is not installed, no scheduler answers, or a worker is refused.
    ClusterUnavailable
        If there is no worker by the deadline.
    """

    is_cluster = True

    def __init__(
        self, address: str, *, mixed: bool = False, patience: Patience | None = None
    ) -> None:
        import_distributed()
        self._stack = ExitStack()
        self._stack.enter_context(quiet())
        self._local = Threads()
        self._stack.callback(self._local.close)
        self._thread = LoopThread()
        self._stack.callback(self._thread.close)
        self._hub = Hub(address, patience or Patience(), mixed=mixed)
        self._stack.callback(lambda: self._thread.run(self._hub.close()))
        try:
            self._thread.run(self._hub.start())
        except BaseException:
            self._stack.close()
            raise

    @property
    def n_threads(self) -> int:
        """Threads of all workers that may be used now."""
        return max(1, self._hub.members.n_threads())

    @property
    def n_threads_each(self) -> int:
        """Most threads of one worker."""
        return max((one.n_threads for one in self._hub.members.usable()), default=1)

    def close(self) -> None:
        """Close the connection, and end the threads of this process."""
        self._stack.close()

    def see(self, files: Sequence[LakeFile]) -> None:
        """Check that every worker sees the first, the middle and the last file."""
        some = dict.fromkeys([0, len(files) // 2, len(files) - 1]) if files else ()
        seen = [_seen(files[i]) for i in some]
        self._thread.run(self._hub.see(tuple(one for one in seen if one is not None)))

    def ordered(self, calls: Iterable[tuple[Callable[[], R], bool]]) -> Generator[R, None, None]:
        """Yield the results of calls in their order; most results wait on the workers."""
        dispatch = Dispatch(self._hub, NOTHING, WINDOW, keeps_place=True)
        return self._results(
            dispatch,
            calls,
            lambda call: Call(_called, call, sys.maxsize),
            lambda call: call(),
            window=WINDOW,
        )

    def each(
        self,
        function: Callable[[S, T], R],
        shared: S,
        tasks: Iterable[T],
        *,
        n_at_once: int | None = None,
    ) -> Generator[R, None, None]:
        """Yield ``function(shared, task)`` for each task, in the order of the tasks."""
        most = sys.maxsize if n_at_once is None else n_at_once
        dispatch = Dispatch(self._hub, shared, most, keeps_place=False)
        return self._results(
            dispatch,
            ((task, False) for task in tasks),
            lambda task: Call(function, task, most),
            lambda task: function(shared, task),
            window=most,
            n_waiting=1,
        )

    def _results(
        self,
        dispatch: Dispatch,
        tasks: Iterable[tuple[Any, bool]],
        call: Callable[[Any], Call],
        here: Callable[[Any], Any],
        *,
        window: int,
        n_waiting: int = 0,
    ) -> Generator[Any, None, None]:
        """Yield results in order, and make more calls as workers come.

        Parameters
        ----------
        tasks
            Pairs of a task and whether it runs in this process.
        call
            Makes a call of a task that runs on a worker.
        here
            Makes the call of a task in this process. A worker may have lost its way to the lake, so
            a file is bad only if this process finds so as well.
        window
            Most calls in one process.
        n_waiting
            Results that may wait for each call that may run.
        """
        left, number, held = iter(tasks), 0, deque[tuple[Any, bool]]()
        under_way: deque[tuple[Future[Any], bool, Any]] = deque()
        try:
            while True:
                new: list[Pending] = []
                most = max(2, (1 + n_waiting) * self._hub.members.n_threads(window))
                while len(under_way) < most and (one := held or _next(left)):
                    task, is_local = one.popleft()
                    if is_local and sum(local for _, local, _ in under_way) >= WINDOW:
                        held.append((task, is_local))
                        break
                    if is_local:
                        under_way.append((self._local.submit(task), True, task))
                        continue
                    new.append(Pending(number, serialized(call(task))))
                    under_way.append((new[-1].result, False, task))
                    number += 1
                if new:
                    self._thread.call(dispatch.add, new)
                if not under_way:
                    return
                if not wait([under_way[0][0]], _LOOK_SECONDS).done:
                    continue
                future, is_local, task = under_way.popleft()
                if not is_local:
                    self._thread.call(dispatch.taken_one)
                is_doubtful = not is_local and isinstance(future.exception(), DataError)
                yield here(task) if is_doubtful else future.result()
        finally:
            for future, _, _ in under_way:
                future.cancel()
            # A generator may be closed after the cluster.
            with suppress(RuntimeError):
                self._thread.call(dispatch.close)


def _next(tasks: Iterator[tuple[Any, bool]]) -> deque[tuple[Any, bool]]:
    return deque(islice(tasks, 1))


def _called(shared: object, call: Callable[[], R]) -> R:
    return call()


def _seen(file: LakeFile) -> Seen | None:
    """Return what a worker must see of a file; None if it has just gone."""
    if file.remote is not None:
        return Seen(file.location, file.remote.size, is_remote=True)
    try:
        return Seen(file.location, os.stat(file.location).st_size, is_remote=False)
    except FileNotFoundError:
        return None
