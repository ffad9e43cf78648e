"""Sizes of blocks and partitions that a session works with."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.lake.limits import DEFAULT_LIMITS, ReadLimits
from onepass.model.memory import MAX_BATCH_ROWS


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes that a session works with; tests pass smaller ones.

    They are not for users: with another `ReadLimits.split_bytes` a lake has other partitions, which
    the ledger would not recognise as trained.
    """

    max_batch_rows: int = MAX_BATCH_ROWS
    """Rows in a block of a new model, at most; frozen when the model is created."""
    read: ReadLimits = DEFAULT_LIMITS


LIMITS = Limits()
