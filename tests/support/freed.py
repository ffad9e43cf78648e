"""Decoded memory that nobody uses but something holds; the garbage collector is switched off."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pyarrow as pa


def held_bytes(work: Callable[[], object], seconds: float = 5) -> int:
    """Return the bytes of Arrow's memory that `work` leaves allocated; what it returns is kept.

    The collector is off meanwhile, so memory in a reference cycle counts. Arrow's own threads may
    free a buffer a moment later, so wait for it.
    """
    pool = pa.default_memory_pool()
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        before = pool.bytes_allocated()
        kept = work()
        until = time.monotonic() + seconds
        while pool.bytes_allocated() > before and time.monotonic() < until:
            time.sleep(0.01)
        held = pool.bytes_allocated() - before
        del kept
    finally:
        if was_enabled:
            gc.enable()
    return held
