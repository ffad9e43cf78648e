"""Decoded memory that nobody uses but something holds; the garbage collector is switched off."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa


def held_bytes(work: Callable[[], object], seconds: float = 5) -> int:
    """Return the bytes of Arrow's memory that `work` leaves allocated; what it returns is kept.

    The collector is off meanwhile, so memory in a reference cycle counts. Arrow's own threads may
    free a buffer a moment later, so wait for it. No temporary file may be left either.
    """
    pool = pa.default_memory_pool()
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    files = open_temporary_files()
    try:
        before = pool.bytes_allocated()
        kept = work()
        until = time.monotonic() + seconds
        while pool.bytes_allocated() > before and time.monotonic() < until:
            time.sleep(0.01)
        held = pool.bytes_allocated() - before
        assert open_temporary_files() <= files
        del kept
    finally:
        if was_enabled:
            gc.enable()
    return held


def open_temporary_files() -> set[str]:
    """Return the files without a name in the folder for temporary files that this process holds."""
    folder = Path("/proc/self/fd")
    links = []
    for one in os.listdir(folder):
        try:
            links.append(os.readlink(folder / one))
        except OSError:  # the descriptor of the listing itself
            continue
    home = os.path.realpath(tempfile.gettempdir())
    return {link for link in links if link.startswith(home) and link.endswith("(deleted)")}
