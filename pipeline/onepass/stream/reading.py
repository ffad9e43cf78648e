"""Settings for reading partitions, and the result of reading one block."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from onepass.block import Block, Linear
from onepass.encode.encoder import Encoded, Encoder
from onepass.lake.limits import DEFAULT_LIMITS, ReadLimits
from onepass.lake.rotation import NOTHING_MORE, Counted
from onepass.selection.rows import Selection


@dataclass(frozen=True, slots=True)
class Beside:
    """Another model that sees the same rows, which are decoded once."""

    encoder: Encoder
    linear: Linear | None = None
    """Weights whose margins are computed in place of features; None to encode features."""
    holds_out: bool = False
    """See `Reading.holds_out`."""
    is_alike: bool = False
    """Whether this model differs from the first one in the label alone (`Encoder.is_like`), so that
    their features are encoded once."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings for reading partitions.

    All settings that change blocks follow from the frozen job, so every run reads the same blocks.
    """

    encoder: Encoder
    """Turns rows into a block."""
    batch_rows: int
    """Upper bound of rows in a block."""
    seed: int | None = None
    """Seed of the shuffled order; None reads in stored order."""
    label: bool = True
    """Whether labels and weights are read."""
    keep: tuple[str, ...] = ()
    """Further columns of the files, returned beside the block without being encoded."""
    holds_out: bool = False
    """Whether `HELD_OUT_SHARE` of the rows is split off, to choose between candidates."""
    whole_bytes: int = 0
    """Memory for large row groups that are decoded as a whole. It does not change any block."""
    spread_bytes: int | None = 0
    """See `onepass.lake.rotation.rounds`; it has no effect in stored order."""
    limits: ReadLimits = DEFAULT_LIMITS
    """Sizes that bound the memory of readers."""
    selection: Selection | None = None
    """Rows to take; None takes all that the file's table has not deleted."""
    linear: Linear | None = None
    """Model whose margins are computed in place of features; None to encode features."""
    beside: tuple[Beside, ...] = ()
    """Further models; each has a block of its own of the same rows in the same order."""
    counted: Counted = NOTHING_MORE
    """Columns that count where memory decides on the order of rows, whether they are read or
    not."""

    def __post_init__(self) -> None:
        if self.linear is not None and (self.holds_out or self.seed is not None):
            raise ValueError("margins need all rows in stored order: no seed, no held-out rows")

    @property
    def models(self) -> list[Beside]:
        """The model, and those beside it."""
        return [Beside(self.encoder, self.linear, self.holds_out), *self.beside]

    @property
    def encoders(self) -> list[Encoder]:
        """The encoder, and those of the models beside it."""
        return [one.encoder for one in self.models]

    def text_names(self) -> list[str]:
        """Return the columns whose texts are looked up once per distinct value."""
        named = [one.schema.text_names() for one in self.encoders]
        return [*chain.from_iterable(named), *self._compared()]

    def columns(self) -> list[str]:
        """Return the columns to decode."""
        return list(dict.fromkeys([*self._used(), *self._compared()]))

    def only_compared(self) -> list[str]:
        """Return the columns that the condition of the job alone needs."""
        compared = self._compared()
        used = set(self._used()) if compared else set()
        return [name for name in compared if name not in used]

    def _used(self) -> list[str]:
        named = [one.schema.names(label=self.label) for one in self.encoders]
        return [*chain.from_iterable(named), *self.keep]

    def _compared(self) -> list[str]:
        return [] if self.selection is None else self.selection.columns


@dataclass(frozen=True, slots=True)
class Streamed:
    """One block of a stream."""

    encoded: Encoded
    """The block, without the rows that are held out."""
    held_out: Block | None
    """Rows that are held out and never learnt; None unless `Reading.holds_out`."""
    kept: pa.Table | None
    """Columns named in `Reading.keep`, of all rows that were read; None if it names none."""
    beside: tuple[Streamed, ...] = ()
    """The same for the models of `Reading.beside`, without kept columns."""


def as_is(streamed: Streamed) -> Streamed:
    """Return the block unchanged, for streams whose consumer does the work."""
    return streamed
