"""How the rows of a partition are read, and a block of them with all that came along."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from onepass.block import Block, Linear
from onepass.encode.encoder import Encoded, Encoder
from onepass.lake.limits import DEFAULT_LIMITS, ReadLimits


@dataclass(frozen=True, slots=True)
class Reading:
    """How a partition is read; the frozen job fixes it, so that every run reads the same blocks."""

    encoder: Encoder
    batch_rows: int
    """Upper bound of rows in a block."""
    seed: int | None = None
    """Seed of the shuffled order; None reads in stored order."""
    label: bool = True
    """Whether labels and weights are read."""
    keep: tuple[str, ...] = ()
    """Further columns of the files that are handed on beside the block."""
    holds_out: bool = False
    """Whether a share of the rows is set apart, to choose between candidates."""
    whole_bytes: int = 0
    """Memory for large row groups that are decoded as a whole. It does not change any block."""
    limits: ReadLimits = DEFAULT_LIMITS
    """Sizes that bound the memory of readers."""
    linear: Linear | None = None
    """Model to predict with: its margins take the place of features."""

    def __post_init__(self) -> None:
        if self.linear is not None and (self.holds_out or self.seed is not None):
            raise ValueError("margins are of all rows, in stored order")

    def columns(self) -> list[str]:
        """Return the columns to decode."""
        names = [*self.encoder.schema.names(label=self.label), *self.keep]
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Streamed:
    """One block of a stream."""

    encoded: Encoded
    held_out: Block | None
    """Rows that are set apart and never learnt; None where the reading holds out none."""
    kept: pa.Table | None
    """Columns named in `Reading.keep`; None where there are none."""


def as_is(streamed: Streamed) -> Streamed:
    """Return the block unchanged, to be worked on by the consumer of the stream."""
    return streamed
