"""Collect what the page tells of one version of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from onepass.actions.evaluate import EvaluateReport
from onepass.actions.summary import Summary, summarise
from onepass.ledger.entries import AnyEntry, SkipEntry, TrainEntry
from onepass.ledger.history import History
from onepass.model.evaluations import Evaluation
from onepass.model.model import Model
from onepass.report.points import Course, course
from onepass.report.words import name, real

Row: TypeAlias = dict[str, Any]

CALIBRATION = ("from", "to", "prediction", "positive", "weight")
"""Columns of the table of calibration."""

MOST_CELLS = 1000
"""Most rows of a table of an evaluation that are read; a model may have many classes."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The quality of one version on rows that were set aside."""

    version: int
    lake: str
    rows: int
    loss: float | None
    constant: float | None
    """Loss of the best constant on the same rows."""
    time: str
    """When it was measured, ISO 8601; empty if that is now."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that the page is made from."""

    model: Model
    history: History
    line: list[AnyEntry]
    """The entries that count as of the version, oldest first."""
    trained: list[TrainEntry]
    course: Course
    summary: Summary
    evaluated: Evaluation | EvaluateReport | None
    """The version on a holdout, with tables; None if there is no record and no holdout."""
    judged: list[Judged] = field(default_factory=list)
    """Qualities of versions on holdout lakes, oldest first."""
    tags: dict[str, int] = field(default_factory=dict)
    """Names that point at versions."""
    notes: list[str] = field(default_factory=list)
    """Parts that the page lacks, each with the reason."""

    def table(self, key: str, numbers: Sequence[str], texts: Sequence[str] = ()) -> list[Row]:
        """Return a table of the evaluation with the given columns; empty if it is not so.

        A record of an evaluation may come from a stranger, so every cell is looked at.
        """
        rows = [] if self.evaluated is None else self.evaluated.tables.get(key, [])[:MOST_CELLS]
        if not all(set(row) >= {*numbers, *texts} for row in rows):
            return []
        found: list[Row] = [
            {one: _real(row[one]) for one in numbers} | {one: name(str(row[one])) for one in texts}
            for row in rows
        ]
        return found

    @property
    def skipped(self) -> list[SkipEntry]:
        """Partitions that were left out and not trained since, oldest first."""
        out: dict[str, SkipEntry] = {}
        for entry in self.line:
            if isinstance(entry, SkipEntry):
                out[entry.partition.path] = entry
            elif isinstance(entry, TrainEntry):
                for partition in entry.partitions if out else ():
                    out.pop(partition.path, None)
        return list(out.values())

    @property
    def noticed(self) -> Counter[str]:
        """Rows and values that training dropped or treated, by kind."""
        total = Counter[str]()
        for entry in self.trained:
            total.update(entry.counts)
        return total


def _real(cell: float | str | None) -> float | None:
    return None if isinstance(cell, str) else real(cell)


def collect(
    model: Model,
    history: History,
    *,
    evaluated: Evaluation | EvaluateReport | None,
    judged: Sequence[Judged] = (),
    tags: dict[str, int] | None = None,
    notes: Sequence[str] = (),
) -> Contents:
    """Collect what the page tells of the version that was loaded."""
    line = history.line(model.version)
    trained = [entry for entry in line if isinstance(entry, TrainEntry)]
    return Contents(
        model=model,
        history=history,
        line=line,
        trained=trained,
        course=course(trained),
        summary=summarise(model),
        evaluated=evaluated,
        judged=list(judged),
        tags=tags or {},
        notes=list(notes),
    )
