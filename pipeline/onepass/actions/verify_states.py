"""Which states of a log must exist, as far as its retention tells."""

from __future__ import annotations

from onepass.ledger.entries import LearntEntry
from onepass.ledger.ledger import Ledger


def must_exist(ledger: Ledger, entry: LearntEntry) -> bool:
    """Return whether retention cannot have deleted the state of a version."""
    history, retention = ledger.history, ledger.retention
    if not retention.keeps(entry):
        return False
    is_tagged = entry.version in retention.tagged()
    if retention.keeps_for_good(entry) or is_tagged or entry in history.newest_states(1):
        return True
    # Retention may have deleted the state before a rewind made its version one of the newest again.
    return all(rewind.version < entry.version for rewind in history.rewinds)
