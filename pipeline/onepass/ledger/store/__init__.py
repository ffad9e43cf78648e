"""Stores that keep a model: a local directory, or a prefix of an object store."""

from __future__ import annotations

from pathlib import Path

from onepass.cloud.url import is_url
from onepass.ledger.store.local import LOCK_KEY, LocalStore
from onepass.ledger.store.protocol import Content, Store
from onepass.ledger.store.remote import RemoteStore


def open_store(place: str | Path) -> Store:
    """Open the store at a directory or URL.

    Raises
    ------
    JobError
        If a URL cannot be used.
    """
    return RemoteStore(place) if is_url(place) else LocalStore(place)


__all__ = ["LOCK_KEY", "Content", "LocalStore", "RemoteStore", "Store", "open_store"]
