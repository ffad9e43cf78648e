"""Announce which states a run is about to delete, so that nobody tags one of them meanwhile.

A run announces the versions, then reads the tags, then deletes the states that no tag names. Who
sets a tag creates it first, and then reads the announcement. So either the run finds the tag, or
who sets it finds the announcement, and takes the tag back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from onepass.errors import ForeignModel
from onepass.ledger.store import Store

EXPIRING_KEY = "state/expiring.json"
"""List of the versions whose states a run is about to delete."""

FEWEST_KEY = "state/fewest.json"
"""Smallest number of newest states that a run has kept, if it is below what the model says."""

_MAX_BYTES = 16 << 20
_WAITS = 100
_WAIT_SECONDS = 0.1


@contextmanager
def announced(store: Store, versions: Sequence[int]) -> Iterator[None]:
    """Announce the states of some versions as about to be deleted until the block ends.

    A run that is killed leaves its announcement to the next run, which deletes these states first.
    """
    # Only processes that run need it: a sync would add a third to the time of a commit.
    store.put(EXPIRING_KEY, json.dumps(list(versions)).encode(), durable=False)
    yield
    store.delete(EXPIRING_KEY)


def is_being_deleted(store: Store, version: int) -> bool:
    """Return whether a run is about to delete the state of a version; wait while it is.

    Returns
    -------
    True if the announcement stays for ten seconds, as that of a killed run does.
    """
    for _ in range(_WAITS):
        if version not in _announced(store):
            return False
        time.sleep(_WAIT_SECONDS)
    return True


def fewest_kept(store: Store) -> int | None:
    """Return the smallest number of newest states that a run has kept; None if none is recorded."""
    try:
        found = _read(store, FEWEST_KEY)
    except ForeignModel:
        # Then more states are missed than need be, which no prediction depends on.
        return None
    return found if isinstance(found, int) else None


def record_fewest(store: Store, n_kept: int) -> None:
    """Record that a run keeps fewer states than the model says, so that nobody misses the others.

    Parameters
    ----------
    n_kept
        Number of newest states that the run keeps.
    """
    known = fewest_kept(store)
    if known is None or n_kept < known:
        store.put(FEWEST_KEY, json.dumps(n_kept).encode())


def _announced(store: Store) -> list[int]:
    try:
        found = _read(store, EXPIRING_KEY)
    except ForeignModel:
        # A crash of the machine may leave an empty file. Nobody deletes by it, and the next run
        # announces anew.
        return []
    return found if isinstance(found, list) else []


def _read(store: Store, key: str) -> Any:
    try:
        return json.loads(store.get(key, most_bytes=_MAX_BYTES))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        raise ForeignModel(f"{key} is damaged; remove it") from None
