"""A store under a prefix of an object store; a conditional create succeeds for one writer only.

There is no lock: a process that dies could not release it, and `Bucket.create` alone keeps two
writers apart.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from onepass.cloud.bucket import Bucket, TooLarge
from onepass.cloud.url import Url, parse_url
from onepass.errors import ForeignModel, JobError, StoreError
from onepass.ledger.store.protocol import Content, check_key

logger = logging.getLogger(__name__)


class RemoteStore:
    """A `Store` under a prefix of a bucket.

    Parameters
    ----------
    url
        Bucket and prefix.
    bucket
        Bucket to use; by default the one that the URL names.

    Raises
    ------
    JobError
        If the URL or the settings for its bucket cannot be used.
    """

    def __init__(self, url: str, bucket: Bucket | None = None) -> None:
        self.url: Url = parse_url(url)
        self._bucket = Bucket(self.url) if bucket is None else bucket
        self._is_proven = False

    @property
    def place(self) -> str:
        """URL of the store."""
        return str(self.url)

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists; return False if it does.

        Raises
        ------
        JobError
            If the store ignores the condition, so that two writers could create the same key.
        StoreUnavailable
            If the outcome is still unknown at the deadline.
        """
        path = self._path(key)
        self._prove()
        return self._bucket.create(path, data)

    def put(self, key: str, data: Content, *, durable: bool = True) -> None:
        """Store `data`, replacing what was there; it is always durable."""
        self._bucket.put(self._path(key), data)

    def get(self, key: str, *, most_bytes: int | None = None) -> bytes:
        """Return the bytes of a key."""
        try:
            return self._bucket.get(self._path(key), most_bytes=most_bytes)
        except TooLarge as error:
            raise ForeignModel(str(error)) from None

    def exists(self, key: str) -> bool:
        """Return whether there is such a key."""
        try:
            self._bucket.head(self._path(key))
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys directly below a folder."""
        found = self._bucket.list_folder(self._path(prefix))
        return [f"{prefix}/{path.rsplit('/', 1)[-1]}" for path in found]

    def delete(self, key: str) -> None:
        """Remove a key; if the store refuses or does not answer, keep the key and warn.

        The ledger deletes only what it no longer needs, so a failure is no reason to end a run
        whose commit has succeeded.
        """
        try:
            self._bucket.delete(self._path(key))
        except StoreError as error:
            logger.warning("cannot remove what is no longer needed: %s", error)

    def check_folders(self, *names: str) -> None:
        """Do nothing: a prefix is not an object, so nothing can stand in its place."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock nothing; `create` alone keeps two writers apart."""
        yield

    def check_lock(self) -> None:
        """Do nothing: there is no lock."""

    def _prove(self) -> None:
        """Test once whether the store honours conditional creation; some stores ignore it."""
        if self._is_proven:
            return
        key = f"selftest/{uuid.uuid4().hex}"
        path = self._path(key)
        first, second = (f"{number} {uuid.uuid4().hex}".encode() for number in (1, 2))
        created = self._bucket.create(path, first), self._bucket.create(path, second)
        kept = self._bucket.get(path)
        self.delete(key)
        if (*created, kept) != (True, False, first):
            raise JobError(
                f"{self.place}: the store overwrites what it was asked to create once, so two "
                "writers could both win\nKeep the model in a store with conditional writes "
                "(If-None-Match), or in a local directory."
            )
        self._is_proven = True

    def _path(self, key: str) -> str:
        """Return the key within the bucket."""
        check_key(key)
        return f"{self.url.path}/{key}" if self.url.path else key
