"""What entries of a log say that cannot be true together, though its chain is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onepass.ledger.entries import AnyEntry, PlanEntry, TrainEntry
from onepass.ledger.ledger import identity


def contradictions(line: Sequence[AnyEntry]) -> Iterator[tuple[AnyEntry, str]]:
    """Entries of the versions that count that contradict themselves or others, and how."""
    planned: set[tuple[int, str]] = set()
    trained: set[tuple[int, str]] = set()
    for entry in line:
        if isinstance(entry, PlanEntry):
            planned = {(g.epoch, identity(p)) for g in entry.groups for p in g.partitions}
        elif isinstance(entry, TrainEntry):
            for partition in entry.partitions:
                name = (entry.epoch, identity(partition))
                if name in trained:
                    yield entry, f"trains {partition['path']} again in epoch {entry.epoch}"
                elif name not in planned:
                    yield entry, f"trains {partition['path']}, which is not in its plan"
                trained.add(name)
            if text := _wrong_rows(entry):
                yield entry, text


def _wrong_rows(entry: TrainEntry) -> str:
    rows = sum(int(partition["rows"]) for partition in entry.partitions)
    expected = rows - entry.counts.get("null_label", 0)
    # Candidates are judged by rows that are held out of learning.
    is_right = 0 <= entry.rows <= expected if entry.candidates else entry.rows == expected
    return "" if is_right else f"says that {entry.rows:,} rows were learnt of {expected:,}"
