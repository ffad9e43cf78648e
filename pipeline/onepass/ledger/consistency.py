"""Find entries of a sound chain that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onepass.ledger.entries import AnyEntry, PlanEntry, TrainEntry
from onepass.partition import NOT_TAKEN, Partition

_DROPPED = ("null_label", "unknown_class", *NOT_TAKEN)
"""Kinds of rows that are not learnt."""


def inconsistencies(line: Sequence[AnyEntry]) -> Iterator[tuple[AnyEntry, str]]:
    """Iterate over entries that contradict themselves or earlier ones, with a description.

    Parameters
    ----------
    line
        The entries that count, oldest first.
    """
    planned: set[tuple[int, Partition]] = set()
    trained: set[tuple[int, Partition]] = set()
    for entry in line:
        if isinstance(entry, PlanEntry):
            planned = {(group.epoch, one) for group in entry.groups for one in group.partitions}
        elif isinstance(entry, TrainEntry):
            for partition in entry.partitions:
                key = (entry.epoch, partition)
                if key in trained:
                    yield entry, f"trains {partition.path} again in epoch {entry.epoch}"
                elif key not in planned:
                    yield entry, f"trains {partition.path}, which is not in its plan"
                trained.add(key)
            if text := _wrong_rows(entry):
                yield entry, text


def _wrong_rows(entry: TrainEntry) -> str:
    rows = sum(partition.rows for partition in entry.partitions)
    dropped = sum(entry.counts.get(kind, 0) for kind in _DROPPED)
    expected = rows - dropped
    # With candidates, some rows are held out and not learnt, so fewer rows are right as well.
    is_right = 0 <= entry.rows <= expected if entry.candidates else entry.rows == expected
    return "" if is_right else f"says that {entry.rows:,} rows were learnt of {expected:,}"
