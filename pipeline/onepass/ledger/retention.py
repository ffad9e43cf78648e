"""Which states of a log are kept, and the deletion of the others after a commit.

Entries stay for ever, states do not. Kept are the newest few that count, every hundredth version
for audits, and the newest before each rewind, so that the rewind can be undone at once.
"""

from __future__ import annotations

from onepass.ledger.entries import LearntEntry
from onepass.ledger.history import History
from onepass.ledger.store import Store

KEEP_NEWEST = 3
"""Number of the newest states that are kept."""

KEEP_EVERY = 100
"""Interval, in versions, at which a state is kept for good, unless another is given."""


class Retention:
    """The states of one log that are kept.

    Parameters
    ----------
    store
        Where the states are.
    history
        The entries of the log, which may grow.
    keep_every
        States of versions that are multiples of this number are kept for good.
    """

    def __init__(self, store: Store, history: History, *, keep_every: int = KEEP_EVERY) -> None:
        self._store, self._history, self._keep_every = store, history, keep_every
        self._pinned: set[int] = set()
        self._n_rewinds = 0
        self._deletable: dict[str, LearntEntry] | None = None

    def keeps(self, entry: LearntEntry) -> bool:
        """Return whether the state of a version is kept."""
        newest = self._history.newest_states(KEEP_NEWEST)
        return self.keeps_for_good(entry) or any(one.version == entry.version for one in newest)

    def keeps_for_good(self, entry: LearntEntry) -> bool:
        """Return whether the state of a version is kept however long the log grows."""
        return entry.version % self._keep_every == 0 or entry.version in self._pins()

    def stored(self) -> list[LearntEntry]:
        """Return the versions, counting or not, whose state has a file, sound or not."""
        there = set(self._store.list("state"))
        learnt = (entry for entry in self._history.entries if isinstance(entry, LearntEntry))
        return [entry for entry in learnt if entry.state.key in there]

    def committed(self, entry: LearntEntry) -> None:
        """Take note of a state that has just been stored and committed."""
        if self._deletable is not None:
            self._deletable[entry.state.key] = entry

    def delete_expired(self) -> None:
        """Delete the states of this log that are not kept. Only the writer does this."""
        if self._deletable is None:
            # Runs that were killed or overtaken have left states that the first commit deletes.
            self._deletable = {entry.state.key: entry for entry in self.stored()}
        for key, entry in list(self._deletable.items()):
            if self.keeps_for_good(entry):
                del self._deletable[key]
            elif not self.keeps(entry):
                self._store.delete(key)
                del self._deletable[key]

    def _pins(self) -> set[int]:
        """Versions with the newest state before a rewind."""
        for rewind in self._history.rewinds[self._n_rewinds :]:
            self._pinned.add(self._history.newest_learnt(rewind.version - 1))
        self._n_rewinds = len(self._history.rewinds)
        return self._pinned
