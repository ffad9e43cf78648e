"""Requests to one bucket of an object store, with retries.

The methods repeat a failed request while it may succeed, and then raise errors of `onepass.errors`.

Two conditions make concurrent use safe. A range is read only if the object still has a given etag,
so a reader never mixes the bytes of two contents. A create succeeds only if the key is free.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from onepass.cloud.connect import connect
from onepass.cloud.faults import Deadline, persevere, refuse_or_pass, unavailable
from onepass.cloud.url import Url

T = TypeVar("T")

PIECE_BYTES = 8 << 20
"""Largest range that one request reads, so that one time-out suits objects of every size."""


class Replaced(OSError):
    """Raised when an object no longer has the content that the caller asked for."""


class TooLarge(ValueError):
    """Raised when an object has more bytes than the caller accepts."""


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object as the store described it, without its content."""

    key: str
    """Key within the bucket."""
    size: int
    """Size in bytes."""
    etag: str | None
    """The store's name for this content; None where the store gives none."""


class Bucket:
    """A bucket, whose objects are named by keys relative to its root.

    Parameters
    ----------
    url
        URL of the bucket, or of anything in it.
    store
        The obstore store that makes the requests; by default `onepass.cloud.connect.connect`
        provides it.
    piece_bytes
        Largest range that one request reads.

    Raises
    ------
    JobError
        If the extra is not installed, or the settings in the environment cannot be used.

    Notes
    -----
    Every method raises `StoreRefused` if the store denies the request for good, and
    `StoreUnavailable` if it has not succeeded by the deadline. Methods that read one object raise
    `FileNotFoundError` if there is none.
    """

    def __init__(self, url: Url, store: Any = None, *, piece_bytes: int = PIECE_BYTES) -> None:
        self._root = url.root
        self._store = connect(url) if store is None else store
        self._piece_bytes = piece_bytes

    def place(self, key: str) -> str:
        """Return the URL of a key, as error messages show it."""
        return f"{self._root}/{key}" if key else self._root

    def list_folder(self, prefix: str) -> list[str]:
        """Return the sorted keys of objects and folders directly below a prefix, each once."""
        found = self._persevere(lambda: self._store.list_with_delimiter(prefix), prefix)
        paths = [meta["path"] for meta in found["objects"]] + list(found["common_prefixes"])
        # Some tools mark a folder by an empty object, which is listed under the folder's own name.
        below = [path for path in paths if path.startswith(f"{prefix}/")]
        # A page that is requested again after a failure may repeat keys; `list` likewise.
        return sorted({path.rstrip("/") for path in below})

    def list(self, prefix: str) -> list[RemoteObject]:
        """List all objects below a prefix at any depth, each once."""
        found = self._persevere(lambda: self._store.list(prefix or None).collect(), prefix)
        return list({meta["path"]: _described(meta) for meta in found}.values())

    def head(self, key: str) -> RemoteObject:
        """Describe an object as it is now."""
        return _described(self._persevere(lambda: self._store.head(key), key))

    def get(self, key: str, *, most_bytes: int | None = None) -> bytes:
        """Return the whole content of an object.

        A small object takes one request. A large one is read in pieces of one content; if another
        writer replaces it meanwhile, all of it is read again.

        Raises
        ------
        TooLarge
            If it has more than `most_bytes`; its content is then not read.
        """

        def read() -> bytes:
            result = self._store.get(key)
            size, etag = result.meta["size"], result.meta["e_tag"]
            if most_bytes is not None and size > most_bytes:
                raise TooLarge(
                    f"{self.place(key)}: expected at most {most_bytes:,} bytes, found {size:,}"
                )
            if size <= self._piece_bytes:
                return _content(result)
            try:
                return self.get_range(key, 0, size, etag)
            except Replaced:
                raise ConnectionError("replaced while it was read") from None

        return self._persevere(read, key)

    def get_range(self, key: str, start: int, end: int, etag: str | None) -> bytes:
        """Return bytes `start` to `end` of an object that still has the given etag.

        Parameters
        ----------
        start, end
            Half-open range in bytes, within the object.
        etag
            Etag that the object must have; None reads without the condition.

        Raises
        ------
        Replaced
            If it has another etag now, or gives fewer bytes than requested.
        """
        if end - start <= self._piece_bytes:
            return self._piece(key, start, end, etag) if end > start else b""
        # `BytesIO` grows in place and hands out its buffer without another copy.
        whole = io.BytesIO()
        for at in range(start, end, self._piece_bytes):
            whole.write(self._piece(key, at, min(at + self._piece_bytes, end), etag))
        return whole.getvalue()

    def put(self, key: str, content: bytes | Path | Callable[[BinaryIO], None]) -> str | None:
        """Store an object, replacing what was there as a whole; return its etag.

        Parameters
        ----------
        content
            Bytes, a local file, or a function that writes the content to a stream.
        """
        if not callable(content):
            return _etag(self._persevere(lambda: self._store.put(key, content), key))
        # Spool to disk: a second copy of a large content would not fit into the memory limit.
        with tempfile.SpooledTemporaryFile(max_size=self._piece_bytes) as spool:
            content(spool)  # type: ignore[arg-type]

            def upload() -> Any:
                spool.seek(0)
                return self._store.put(key, spool)

            return _etag(self._persevere(upload, key))

    def swap(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Store an object if what is there has the given etag; return the new etag.

        Stores that cannot replace on a condition replace without it.

        Parameters
        ----------
        data
            Content that no other writer stores, for example because it contains a random id.
        etag
            Etag of the object to replace; None if there must be no object.

        Raises
        ------
        Replaced
            If another writer has changed the object.
        """
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        mode: Any = "create" if etag is None else {"e_tag": etag}

        def replace() -> str | None:
            try:
                return _etag(self._store.put(key, data, mode=mode, use_multipart=False))
            except (AlreadyExistsError, PreconditionError, FileNotFoundError):
                # A request that is repeated may meet the object of its first attempt.
                with suppress(FileNotFoundError):
                    found = self._store.get(key)
                    if _content(found) == data:
                        return _etag(found.meta)
                raise Replaced(f"{self.place(key)} has changed since it was read") from None
            except BaseError as error:
                if not _is_unknown_there(error):
                    raise
                return _etag(self._store.put(key, data))

        return self._persevere(replace, key)

    def create(self, key: str, data: bytes) -> bool:
        """Store an object unless its key exists; return whether this call stored it.

        A time-out, a reset or a 5xx may follow a create that succeeded, and a retry may meet the
        caller's own object. So after every answer but a plain success, the object is read back.
        Equal bytes mean success, and other bytes mean that another writer was first. If there is no
        object, the create is repeated.

        Parameters
        ----------
        data
            Content that no other writer stores, for example because it contains a random id.

        Raises
        ------
        StoreUnavailable
            If the outcome is still unknown at the deadline.
        """
        place, deadline = self.place(key), Deadline()
        while True:
            failure = self._try_to_create(key, data)
            if failure is None:
                return True
            try:
                found = persevere(lambda: _content(self._store.get(key)), place, deadline)
                return found == data
            except FileNotFoundError:
                if deadline.passed():
                    raise unavailable(failure, place, deadline) from None
            deadline.pause()

    def delete(self, key: str) -> None:
        """Remove an object; do nothing if there is none."""
        with suppress(FileNotFoundError):
            self._persevere(lambda: self._store.delete(key), key)

    def _try_to_create(self, key: str, data: bytes) -> Exception | None:
        """Request a create once; return the failure that leaves its outcome open, if any."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            # Upload in one part: not every store checks the condition of a multipart upload.
            self._store.put(key, data, mode="create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError) as error:
            return error
        except Exception as error:
            refuse_or_pass(error, self.place(key))
            return error
        return None

    def _piece(self, key: str, start: int, end: int, etag: str | None) -> bytes:
        data = self._persevere(partial(self._range, key, start, end, etag), key)
        if len(data) != end - start:
            raise Replaced(f"expected {end - start} bytes at {start}, found {len(data)}")
        return data

    def _range(self, key: str, start: int, end: int, etag: str | None) -> bytes:
        from obstore.exceptions import PreconditionError

        options: dict[str, Any] = {"range": (start, end)}
        if etag is not None:
            options["if_match"] = etag
        try:
            return _content(self._store.get(key, options=options))
        except PreconditionError:
            raise Replaced("the object has changed since it was looked at") from None

    def _persevere(self, action: Callable[[], T], key: str) -> T:
        return persevere(action, self.place(key))


def _content(result: Any) -> bytes:
    data: bytes = result.bytes().to_bytes()
    return data


def _is_unknown_there(error: Exception) -> bool:
    """Return whether a store does not know the condition of a request."""
    from obstore.exceptions import NotSupportedError

    return isinstance(error, NotSupportedError) or "<Code>NotImplemented</Code>" in str(error)


def _etag(meta: Any) -> str | None:
    etag: str | None = meta["e_tag"]
    return etag


def _described(meta: dict[str, Any]) -> RemoteObject:
    return RemoteObject(meta["path"], meta["size"], meta["e_tag"])
