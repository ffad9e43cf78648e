"""A store in an object store: a name is given away once by a conditional create.

The answer to a create may be lost: a time-out, a reset or a 5xx after the server has done it, or a
retry that finds its own object. So whatever is not a plain success is settled by reading back:
these bytes mean success, others mean that somebody was faster, none means another attempt.
There is no lock: a process that dies could not release it, and the condition is all that counts.
"""

from __future__ import annotations

import io
import logging
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from onepass.cloud.connect import connect
from onepass.cloud.faults import Deadline, persevere, refuse_or_pass, unavailable
from onepass.cloud.url import Url, parse_url
from onepass.errors import ForeignModel, JobError, OnepassError
from onepass.ledger.store.protocol import Content, check_key

T = TypeVar("T")

PIECE_BYTES = 8 << 20
"""Largest single request, so that a time-out per request suits objects of every size."""

logger = logging.getLogger(__name__)


class _Replaced(Exception):
    """Raised when an object is another one than its first piece was read of."""


class RemoteStore:
    """A `Store` under a prefix of a bucket.

    Parameters
    ----------
    url
        Bucket and prefix.
    bucket
        An obstore store for the bucket; connected to by default.

    Raises
    ------
    JobError
        If the URL or the settings for its bucket cannot be used.
    """

    def __init__(self, url: str, bucket: Any = None) -> None:
        self.url: Url = parse_url(url)
        self._bucket = connect(self.url) if bucket is None else bucket
        self._is_proven = False

    @property
    def place(self) -> str:
        """The URL."""
        return str(self.url)

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists.

        Raises
        ------
        JobError
            If the store ignores the condition, and would let two writers win.
        StoreUnavailable
            If nothing is known about the outcome by the deadline.
        """
        self._prove()
        return self._create(key, data)

    def put(self, key: str, data: Content) -> None:
        """Store `data`, replacing what was there."""
        # Spooled to disk: a state is written while the next partition is learnt, and a second copy
        # of a large one would not fit into the memory limit.
        with tempfile.SpooledTemporaryFile(max_size=PIECE_BYTES) as spool:
            if callable(data):
                data(spool)  # type: ignore[arg-type]
            else:
                spool.write(data)
            path = self._path(key)

            def upload() -> None:
                spool.seek(0)
                self._bucket.put(path, spool)

            self._persevere(upload, key)

    def check_folders(self, *names: str) -> None:
        """Nothing stands in the way of a prefix."""

    def get(self, key: str, *, most_bytes: int | None = None) -> bytes:
        """The bytes of a key."""
        path = self._path(key)

        def read() -> bytes:
            result = self._bucket.get(path)
            size, etag = result.meta["size"], result.meta["e_tag"]
            if most_bytes is not None and size > most_bytes:
                raise ForeignModel(
                    f"{self._place(key)}: expected at most {most_bytes:,} bytes, found {size:,}"
                )
            try:
                return result.bytes().to_bytes() if size <= PIECE_BYTES else pieces(size, etag)
            except _Replaced:
                # All of it is read once more, as after a broken connection.
                raise ConnectionError("replaced while it was read") from None

        def pieces(size: int, etag: str | None) -> bytes:
            # Grows in place, and is handed out without another copy.
            whole = io.BytesIO()
            for start in range(0, size, PIECE_BYTES):
                options = {"range": (start, min(start + PIECE_BYTES, size)), "if_match": etag}
                whole.write(self._persevere(partial(self._read_piece, path, options), key))
            return whole.getvalue()

        return self._persevere(read, key)

    def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        try:
            self._persevere(lambda: self._bucket.head(self._path(key)), key)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str) -> list[str]:
        """Sorted keys directly below a folder."""
        path = self._path(prefix)
        found = self._persevere(lambda: self._bucket.list_with_delimiter(path), prefix)
        paths = [meta["path"] for meta in found["objects"]] + list(found["common_prefixes"])
        # Some tools mark a folder by an empty object, which is listed by the folder's own name.
        below = [one for one in paths if one.startswith(f"{path}/")]
        # A set: a page that was asked for twice may come twice.
        return sorted({f"{prefix}/{one.rstrip('/').rsplit('/', 1)[-1]}" for one in below})

    def delete(self, key: str) -> None:
        """Remove a key; a store that forbids it keeps the key, with a warning.

        What is deleted is no longer needed, and no reason to fail after a commit has succeeded.
        """
        try:
            self._persevere(lambda: self._bucket.delete(self._path(key)), key)
        except FileNotFoundError:
            return
        except OnepassError as error:
            logger.warning("cannot remove what is no longer needed: %s", error)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nothing is locked here; two writers are kept apart by `create` alone."""
        yield

    def check_lock(self) -> None:
        """Nothing stands where no lock is."""

    def _create(self, key: str, data: bytes) -> bool:
        path, place, deadline = self._path(key), self._place(key), Deadline()
        while True:
            failure = self._attempt(path, data, place)
            if failure is None:
                return True
            try:
                return persevere(partial(self._read, path), place, deadline) == data
            except FileNotFoundError:
                if deadline.passed():
                    raise unavailable(failure, place, deadline) from None
            deadline.pause()

    def _attempt(self, path: str, data: bytes, place: str) -> Exception | None:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            # In one part: not every store checks the condition of a multipart upload.
            self._bucket.put(path, data, mode="create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError) as error:
            return error
        except Exception as error:
            refuse_or_pass(error, place)
            return error
        return None

    def _prove(self) -> None:
        """Find out once whether the store minds the condition; some accept and ignore it."""
        if self._is_proven:
            return
        key = f"selftest/{uuid.uuid4().hex}"
        first, second = (f"{number} {uuid.uuid4().hex}".encode() for number in (1, 2))
        kept = self._create(key, first), self._create(key, second), self.get(key)
        self.delete(key)
        if kept != (True, False, first):
            raise JobError(
                f"{self.place}: the store overwrites what it was asked to create once, so two "
                "writers could both win\nKeep the model in a store with conditional writes "
                "(If-None-Match), or in a local directory."
            )
        self._is_proven = True

    def _read(self, path: str, options: dict[str, Any] | None = None) -> bytes:
        data: bytes = self._bucket.get(path, options=options).bytes().to_bytes()
        return data

    def _read_piece(self, path: str, options: dict[str, Any]) -> bytes:
        from obstore.exceptions import PreconditionError

        try:
            return self._read(path, options)
        except PreconditionError:
            raise _Replaced from None

    def _persevere(self, action: Callable[[], T], key: str) -> T:
        return persevere(action, self._place(key))

    def _path(self, key: str) -> str:
        check_key(key)
        return f"{self.url.path}/{key}" if self.url.path else key

    def _place(self, key: str) -> str:
        return f"{self.place}/{key}"
