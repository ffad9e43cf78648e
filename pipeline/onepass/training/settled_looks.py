"""Remember what the files of a lake looked like, so that the next run need not read their footers.

A footer takes 0.2 to 0.5 ms of processor time, which is a minute for a lake of 100,000 files in
which nothing is new. A file on a disk that has the size and the times of change that it had before
its footer was read still has that footer; an object has it as long as its etag is the same. The
looks are kept beside the log in one file. Nothing depends on it: a file of which no look is known
has its footer read.
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Collection
from zipfile import BadZipFile

import numpy as np

from onepass.block import IntArray
from onepass.lake.discover import LakeFile
from onepass.ledger.leftovers import LOOKS_KEY
from onepass.ledger.store import Store
from onepass.partition import Fingerprint, Look

LEAST_FILES = 1000
"""Smaller lakes are not remembered: reading their footers takes less than a second."""

_MOST_BYTES = 1 << 30
_NEWLY_SHARE = 1 / 100
"""Share of the files whose looks must be new before the file is written again."""

_RACY_NS = 2_000_000_000
"""A file that changed so shortly before it was looked at may change again without another time."""

logger = logging.getLogger(__name__)


class SettledLooks:
    """Looks of files whose footers have been read, each with the content that the footer told.

    Parameters
    ----------
    store
        The model directory; None to remember nothing.
    trusts
        Whether a look may stand for a footer. Otherwise looks are only remembered.
    """

    def __init__(self, store: Store | None, *, trusts: bool = True) -> None:
        self._store, self._trusts = store, trusts
        self._place: dict[str, int] | None = None
        self._numbers: IntArray = np.empty((0, 3), np.int64)
        self._contents = np.empty(0, "V16")
        self._new: dict[str, tuple[Look, bytes]] = {}

    def tell(self, file: LakeFile, look: Look, content: Fingerprint) -> bool:
        """Return whether a look tells that a file still has some content.

        Parameters
        ----------
        look
            The file as it looks now.
        """
        if not self._trusts:
            return False
        if file.remote is not None:
            same = (look.size, look.etag) == (content.size, content.etag)
            return same and look.etag is not None and content.deleted is None
        places = self._places()
        at = places.get(file.key)
        if at is None or look.changed_ns is None:
            return False
        known = self._numbers[at].tolist()
        now = [look.size, look.modified_ns, look.changed_ns]
        return bool(known == now and self._contents[at].tobytes() == _digest(content))

    def note(self, file: LakeFile, look: Look, content: Fingerprint) -> None:
        """Remember the look of a file that was taken before its footer was read."""
        if file.remote is not None or look.changed_ns is None or look.modified_ns is None:
            return
        if time.time_ns() - max(look.changed_ns, look.modified_ns) > _RACY_NS:
            self._new[file.key] = (look, _digest(content))

    def save(self, present: Collection[str]) -> None:
        """Write what is known of the files that the lake still has, if much of it is new."""
        if self._store is None or len(present) < LEAST_FILES:
            return
        if len(self._new) <= _NEWLY_SHARE * len(present):
            return
        kept = [key for key in self._places() if key in present and key not in self._new]
        at = [self._places()[key] for key in kept]
        news = [(one.size, one.modified_ns, one.changed_ns) for one, _ in self._new.values()]
        digests = b"".join(digest for _, digest in self._new.values())
        out = io.BytesIO()
        np.savez_compressed(
            out,
            # A path has no null character.
            paths=np.frombuffer("\0".join([*kept, *self._new]).encode(), np.uint8),
            numbers=np.concatenate([self._numbers[at], np.array(news, np.int64)]),
            contents=np.concatenate([self._contents[at], np.frombuffer(digests, "V16")]),
        )
        try:
            self._store.put(LOOKS_KEY, out.getvalue(), durable=False)
        except OSError as error:
            logger.debug("cannot remember the looks of files: %s", error)

    def _places(self) -> dict[str, int]:
        if self._place is None:
            self._place = self._load()
        return self._place

    def _load(self) -> dict[str, int]:
        if self._store is None:
            return {}
        try:
            data = self._store.get(LOOKS_KEY, most_bytes=_MOST_BYTES)
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                paths = found["paths"].tobytes().decode().split("\0")
                numbers, contents = found["numbers"], found["contents"]
            if (numbers.shape, contents.shape) != ((len(paths), 3), (len(paths),)):
                raise ValueError("arrays of another shape")
        except FileNotFoundError:
            return {}
        except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
            logger.debug("%s cannot be read, so all footers are: %s", LOOKS_KEY, error)
            return {}
        self._numbers, self._contents = numbers.astype(np.int64), contents
        return {path: at for at, path in enumerate(paths)}


def _digest(content: Fingerprint) -> bytes:
    return hashlib.sha256(content.content.encode()).digest()[:16]
