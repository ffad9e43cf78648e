"""Stream partitions as tests want them: one group of sources, blocks as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass.lake.rotation import Source
from onepass.stream.reading import Reading, Streamed, as_is
from onepass.stream.stream import ReadGroup, stream


def blocks_of(sources: Sequence[Source], reading: Reading, workers: Any) -> list[Streamed]:
    """Return all blocks of partitions that are read together."""
    groups = [ReadGroup(lambda: sources)]
    return [block for blocks in stream(groups, reading, workers, as_is) for block in blocks]
