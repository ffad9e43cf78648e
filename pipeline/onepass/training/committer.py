"""Commit in the background: a state is written while the next partition is learnt.

One commit is under way at most, and the log grows in order. An error of a commit is raised by the
call after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import Trained, TrainEntry
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import Content


class Committer:
    """Commits to a ledger from a thread of its own; use as a context manager.

    While a commit may be under way, the ledger is to be left alone: `wait` first.

    Parameters
    ----------
    ledger
        To commit to.
    committed
        Told about each commit in the caller's thread, once it is durable.
    """

    def __init__(self, ledger: Ledger, committed: Callable[[TrainEntry, Metrics], None]) -> None:
        self._ledger, self._committed = ledger, committed
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: Future[None] | None = None
        self._untold: deque[tuple[TrainEntry, Metrics]] = deque()

    def __enter__(self) -> Committer:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="onepass-commit")
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._pool is not None
        try:
            # What has been learnt is kept, also when the run ends by an error or an interrupt.
            self.wait()
        finally:
            self._pool.shutdown(wait=True)
            self._pool = None
            self._tell()

    def submit(self, state: Content, trained: Trained, metrics: Metrics) -> None:
        """Commit a learnt group, after the one before.

        Raises
        ------
        ModelConflict, Diverged
            If another writer has committed the version of the group before, or that was not finite.
        """
        self.wait()
        assert self._pool is not None
        # An interrupt may come before the result has a name: what is durable is told all the same.
        self._under_way = self._pool.submit(self._commit, state, trained, metrics)

    def wait(self) -> None:
        """Wait until everything is durable; raises as `submit`."""
        if self._under_way is None:
            return
        wait([self._under_way])
        self._tell()
        commit, self._under_way = self._under_way, None
        commit.result()

    def _commit(self, state: Content, trained: Trained, metrics: Metrics) -> None:
        self._untold.append((self._ledger.commit_train(state, trained), metrics))

    def _tell(self) -> None:
        while self._untold:
            # Interrupted here, it is told of at the end.
            self._committed(*self._untold[0])
            self._untold.popleft()
