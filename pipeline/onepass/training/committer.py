"""Commit in the background: write a state while the next group is learnt.

At most one commit is under way, so the log grows in order. The call after a failed commit raises
its error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from onepass.ledger.entries import TrainEntry
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import Content
from onepass.ledger.trained import Trained
from onepass.training.learnt import Learnt


class Committer:
    """Commits to a ledger from a thread of its own; use as a context manager.

    Other code may use the ledger only after `wait`, when no commit is under way.

    Parameters
    ----------
    ledger
        Ledger to commit to.
    committed
        Called in the caller's thread for each commit, once it is durable.
    """

    def __init__(self, ledger: Ledger, committed: Callable[[TrainEntry, Learnt], None]) -> None:
        self._ledger, self._committed = ledger, committed
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: Future[None] | None = None
        self._unreported: deque[tuple[TrainEntry, Learnt]] = deque()

    def __enter__(self) -> Committer:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="onepass-commit")
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._pool is not None
        try:
            # A run that ends by an error or an interrupt still commits the groups it has learnt.
            self.wait()
        finally:
            self._pool.shutdown(wait=True)
            self._pool = None
            self._report()

    def submit(self, state: Content, trained: Trained, learnt: Learnt) -> None:
        """Commit a learnt group, after the group before it.

        Raises
        ------
        ModelConflict, Diverged
            If the commit of the group before failed: another writer has committed its version, or
            its state was not finite.
        """
        self.wait()
        assert self._pool is not None
        # An interrupt may land before the future is assigned; `__exit__` still reports the commit,
        # because `_commit` queued it.
        self._under_way = self._pool.submit(self._commit, state, trained, learnt)

    def wait(self) -> None:
        """Wait until every commit is durable; raise as `submit`."""
        if self._under_way is None:
            return
        wait([self._under_way])
        self._report()
        commit, self._under_way = self._under_way, None
        commit.result()

    def _commit(self, state: Content, trained: Trained, learnt: Learnt) -> None:
        self._unreported.append((self._ledger.commit_train(state, trained), learnt))

    def _report(self) -> None:
        while self._unreported:
            # A commit leaves the queue after its report: an interrupt in between repeats the
            # report rather than losing it.
            self._committed(*self._unreported[0])
            self._unreported.popleft()
