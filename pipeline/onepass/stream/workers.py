"""Run Dask tasks ahead of a consumer: in order, and only a few at a time.

Dask gives no back-pressure towards a consumer that takes results one by one, so the window is kept
here: a few tasks are under way, the oldest is waited for, its place is filled, its result let go.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from dask.core import get
from dask.delayed import Delayed

from onepass.errors import JobError

WINDOW = 3
"""Tasks under way or finished ahead of the consumer."""


class Workers:
    """Threads of this process, or a Dask cluster at an address.

    Parameters
    ----------
    address
        Of a Dask scheduler; its workers must see the lake under the same paths.
    """

    def __init__(self, address: str | None = None) -> None:
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="onepass")
        self._client = _connect(address) if address else None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def ordered(self, tasks: Iterable[tuple[Delayed, bool]]) -> Generator[Any, None, None]:
        """Results of tasks in their order, computed a few ahead.

        Parameters
        ----------
        tasks
            Each with whether it must run in this process, because it shares state with others.
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

    def _submit(self, task: Delayed, is_local: bool) -> Future[Any] | Any:
        if self._client is not None and not is_local:
            return self._client.compute(task)
        # The threads come from the pool; Dask's schedulers would plan each little graph anew.
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
