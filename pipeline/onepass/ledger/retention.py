"""Decide which states of a log are kept, and delete the others after a commit.

All entries are kept for ever. States are kept of the newest few versions that count, of the
versions that tags name, of every hundredth version for audits, and of the newest version before
each rewind. So a rewind can be undone without retraining.
"""

from __future__ import annotations

import logging

from onepass.errors import StoreError
from onepass.ledger.entries import LearntEntry
from onepass.ledger.expiry import announced, fewest_kept, record_fewest
from onepass.ledger.history import History
from onepass.ledger.store import Store
from onepass.ledger.tags import Tags

KEEP_NEWEST = 3
"""Number of the newest versions that count whose states are kept, unless a run says otherwise."""

KEEP_EVERY = 100
"""Interval, in versions, of the states that are kept for good, unless the caller gives another."""

logger = logging.getLogger(__name__)


class Retention:
    """Decides which states of one log are kept, and deletes the others.

    Parameters
    ----------
    store
        Where the states are.
    history
        The entries of the log, which may grow.
    tags
        The tags of the log, whose versions are spared; none by default.
    keep_every
        States of versions that are multiples of this number are kept for good.
    """

    def __init__(
        self,
        store: Store,
        history: History,
        tags: Tags | None = None,
        *,
        keep_every: int = KEEP_EVERY,
    ) -> None:
        self._store, self._history, self._tags = store, history, tags
        self._keep_every = keep_every
        self.keep_newest = self.own = KEEP_NEWEST
        """Number of the newest versions that count whose states are kept, in this run and by the
        model's own job."""
        self._pinned: set[int] = set()
        self._n_rewinds = 0
        self._deletable: dict[str, LearntEntry] | None = None

    def keeps(self, entry: LearntEntry) -> bool:
        """Return whether the state of a version is kept."""
        return self.keeps_for_good(entry) or entry.version in self._kept_for_now()

    def keeps_for_good(self, entry: LearntEntry) -> bool:
        """Return whether the state of a version is kept however long the log grows."""
        return entry.version % self._keep_every == 0 or entry.version in self._pins()

    def tagged(self) -> set[int]:
        """Return the versions that tags name, as of the last time that the tags were read."""
        return set() if self._tags is None else self._tags.versions()

    def stored(self) -> list[LearntEntry]:
        """Return the versions, counting or not, whose state has a file, sound or not."""
        there = set(self._store.list("state"))
        learnt = (entry for entry in self._history.entries if isinstance(entry, LearntEntry))
        return [entry for entry in learnt if entry.state.key in there]

    def committed(self, entry: LearntEntry) -> None:
        """Remember a state that has been committed, so that it is deleted once it is old."""
        if self._deletable is not None:
            self._deletable[entry.state.key] = entry

    def delete_expired(self) -> None:
        """Delete the states of this log that are not kept; only the writer may call this."""
        if self._deletable is None:
            # The first call also deletes old states that killed runs have left.
            self._deletable = {entry.state.key: entry for entry in self.stored()}
        expired, kept = list[LearntEntry](), self._kept_for_now()
        # A run may keep 10,000 states, and this loop runs after each commit.
        for key, entry in [one for one in self._deletable.items() if one[1].version not in kept]:
            if self.keeps_for_good(entry):
                del self._deletable[key]
            else:
                expired.append(entry)
        if not expired:
            return
        try:
            self._delete(expired, self._deletable)
        except (OSError, StoreError) as error:
            # The version that has just been committed counts; the next commit deletes these states.
            logger.warning("cannot remove what is no longer needed: %s", error)

    def allow_for_runs(self) -> None:
        """Expect no more states than the run left that kept the fewest; for readers."""
        fewest = fewest_kept(self._store)
        self.keep_newest = self.own if fewest is None else max(1, min(self.own, fewest))

    def _delete(self, expired: list[LearntEntry], deletable: dict[str, LearntEntry]) -> None:
        if self.keep_newest < self.own:
            record_fewest(self._store, self.keep_newest)
        with announced(self._store, [entry.version for entry in expired]):
            if self._tags is not None:
                self._tags.catch_up()
            tagged = self.tagged()
            for entry in expired:
                if entry.version not in tagged:
                    self._store.delete(entry.state.key)
                    del deletable[entry.state.key]

    def _kept_for_now(self) -> set[int]:
        """Return the newest versions, and those that tags name."""
        newest = self._history.newest_states(self.keep_newest)
        return self.tagged() | {entry.version for entry in newest}

    def _pins(self) -> set[int]:
        """Return the versions whose state was the newest one before some rewind."""
        for rewind in self._history.rewinds[self._n_rewinds :]:
            self._pinned.add(self._history.newest_learnt(rewind.version - 1))
        self._n_rewinds = len(self._history.rewinds)
        return self._pinned
