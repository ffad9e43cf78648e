"""Remember the deleted rows of the files that are being read, so that several tasks share them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from onepass.block import IntArray
from onepass.lake.discover import LakeFile

_MOST_BYTES = 64 << 20
"""Maximum memory of the positions that are remembered, unless one file has more."""


@dataclass(slots=True)
class _Loaded:
    lock: threading.Lock = field(default_factory=threading.Lock)
    positions: IntArray | None = None


class DeletedRowsOfFiles:
    """The deleted rows of the files that were read last, in one process."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._loaded: OrderedDict[tuple[str, str], _Loaded] = OrderedDict()

    def positions(self, file: LakeFile) -> IntArray | None:
        """Return the numbers of the deleted rows within a file, ascending; None if it has none.

        Raises
        ------
        BadPartition, StoreRefused, StoreUnavailable
            If they cannot be read.
        """
        deleted = None if file.view is None else file.view.deleted
        if deleted is None:
            return None
        key = (file.location, deleted.identity)
        with self._lock:
            entry = self._loaded.setdefault(key, _Loaded())
            self._loaded.move_to_end(key)
        # Tasks that need the same file wait for the first one; others go on.
        with entry.lock:
            if entry.positions is None:
                entry.positions = np.asarray(deleted.positions(), np.int64)
                self._forget()
            return entry.positions

    def _forget(self) -> None:
        with self._lock:
            held = sum(
                0 if (p := one.positions) is None else p.nbytes for one in self._loaded.values()
            )
            for key in list(self._loaded)[:-1]:
                if held <= self._most_bytes:
                    return
                positions = self._loaded[key].positions
                if positions is not None:
                    held -= positions.nbytes
                    del self._loaded[key]


OF_PROCESS = DeletedRowsOfFiles()
"""The one that all readers of this process share."""
