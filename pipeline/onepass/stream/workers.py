"""Run calls ahead of a consumer, in threads of this process or on a Dask cluster.

The consumer waits for the result of the oldest call, and a new call takes its place. So results
come in the order of the calls, whoever has made them, and only a bounded number of them wait.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from onepass.lake.discover import LakeFile
from onepass.scheduler import scheduler_address
from onepass.stream.threads import Threads

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """Threads of this process, or a Dask cluster; use as a context manager.

    Within the context BLAS has one thread. The cores are for the calls, and the order of sums does
    not depend on the number of cores.

    Parameters
    ----------
    dask
        Address of a Dask scheduler, or what `onepass.scheduler.scheduler_address` takes; None for
        threads of this process.
    mixed
        Whether workers may have other versions of libraries or another kind of processor.

    Raises
    ------
    JobError
        If no scheduler answers at the address, `distributed` is not installed, or a worker is
        refused.
    ClusterUnavailable
        If the cluster has no worker.
    """

    def __init__(self, dask: Any = None, *, mixed: bool = False) -> None:
        self._address, self._mixed = scheduler_address(dask), mixed
        self._crew: Any = self._new_crew()
        self._stack = ExitStack()

    @property
    def is_cluster(self) -> bool:
        """Whether calls run on a Dask cluster."""
        return self._address is not None

    @property
    def n_threads(self) -> int:
        """Number of calls that can run at the same time: the threads of all workers."""
        return int(self._crew.n_threads)

    @property
    def n_threads_each(self) -> int:
        """Most calls that can run at the same time in one process."""
        return int(self._crew.n_threads_each)

    def __enter__(self) -> Workers:
        self._stack.enter_context(threadpool_limits(1, "blas"))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
        self._crew.close()

    def renew(self) -> None:
        """Connect to the cluster again, or start new threads, after calls have failed.

        Raises as the class does.
        """
        self._crew.close()
        self._crew = self._new_crew()

    def _new_crew(self) -> Any:
        return Threads() if self._address is None else _cluster(self._address, self._mixed)

    def see(self, files: Sequence[LakeFile]) -> None:
        """Check that every worker sees files of a lake, and so do workers that join later.

        Parameters
        ----------
        files
            All files of the lake; workers look at a few of them.

        Raises
        ------
        JobError
            If a worker does not see a file; the message names both.
        """
        if isinstance(self._crew, Threads):
            return
        self._crew.see(files)

    def ordered(self, calls: Iterable[tuple[Callable[[], R], bool]]) -> Generator[R, None, None]:
        """Yield the results of calls in their order, of which a few run ahead.

        Parameters
        ----------
        calls
            Pairs of a call and whether it must run in this process, because it shares a decoder
            with other calls.
        """
        results: Generator[R, None, None] = self._crew.ordered(calls)
        return results

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
        function
            Can be pickled for a cluster.
        shared
            Value that all calls read and none changes; it is sent once to each worker.
        n_at_once
            Most calls that run at the same time in one process, and most results that wait for
            their turn for each process; by default as many as the process has threads.

        Raises
        ------
        ClusterError
            If a cluster cannot finish the calls; the message says what to do.
        """
        results: Generator[R, None, None] = self._crew.each(
            function, shared, tasks, n_at_once=n_at_once
        )
        return results


def _cluster(address: str, mixed: bool) -> Any:
    # Imported here: threads need no `distributed`, which takes half a second.
    from onepass.stream.cluster import Cluster

    return Cluster(address, mixed=mixed)
