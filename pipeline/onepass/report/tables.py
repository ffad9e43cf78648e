"""The tables of the page: the job, what was left out, where the rows came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from onepass.actions.coefficient import Coefficient
from onepass.actions.summary import Summary
from onepass.job import Job
from onepass.ledger.entries import TrainEntry
from onepass.partition import Partition
from onepass.report.contents import Contents
from onepass.report.words import NONE, name, number, place, prose, real, when

MOST_FILES = 500
"""Files that are listed one by one; of more, the newest."""

MOST_ROWS = 200
"""Rows of any other table."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of a table, as texts."""

    header: list[str]
    rows: list[list[str]]
    right: frozenset[int] = field(default_factory=frozenset)
    """Columns of numbers."""
    wide: frozenset[int] = field(default_factory=frozenset)
    """Columns of long texts, which may break anywhere."""
    note: str = ""


def job_table(job: Job) -> Table:
    """Return the fields of a job that are not the default."""
    rows = []
    for key, described in Job.model_fields.items():
        value = getattr(job, key)
        if value is None or value == described.get_default(call_default_factory=True):
            continue
        rows.append([key, _value(key, value)])
    return Table(["field", "value"], rows, wide=frozenset({1}))


def coefficient_table(summary: Summary) -> Table:
    """Return coefficients with standard errors and intervals."""
    found = [*summary.intercepts, *summary.thresholds, *summary.coefficients]
    several = any(one.output is not None for one in found)
    header = ["feature", "per unit", "std error", "95 % interval", "p", "effect"]
    rows = [
        [*([name(one.output or "")] if several else []), *_coefficient(one)]
        for one in found[:MOST_ROWS]
    ]
    first = 2 if several else 1
    return Table(
        [*(["of"] if several else []), *header],
        rows,
        right=frozenset(range(first, first + 5)),
        wide=frozenset({first - 1}),
        note=more(len(found), MOST_ROWS, "coefficients", "those with the largest effect"),
    )


def skipped_table(contents: Contents) -> Table | None:
    """Return the partitions that were left out, the newest first."""
    skipped = contents.skipped[::-1]
    if not skipped:
        return None
    rows = [
        [
            name(one.partition.path),
            "until it is replaced" if one.kind == "quarantine" else "for good",
            str(one.version),
            when(one.time),
            prose(one.reason),
        ]
        for one in skipped[:MOST_ROWS]
    ]
    note = more(len(skipped), MOST_ROWS, "files", "the newest")
    return Table(
        ["file", "left out", "version", "since", "reason"], rows, wide=frozenset({0, 4}), note=note
    )


def noticed_table(contents: Contents) -> Table | None:
    """Return what training noticed in the rows, by kind."""
    rows = [
        [name(kind.replace("_", " ")), number(n)]
        for kind, n in contents.noticed.most_common(MOST_ROWS)
        if n
    ]
    return Table(["noticed", "rows or values"], rows, right=frozenset({1})) if rows else None


def environment_table(trained: Sequence[TrainEntry]) -> Table | None:
    """Return the environment of the first entry, and each change since."""
    if not trained:
        return None
    first = trained[0]
    at = [str(first.version), when(first.time)]
    rows = [[*at, name(key), "", name(value)] for key, value in first.environment.items()]
    changes = list(_changes(trained))
    rows += changes[-MOST_ROWS:]
    return Table(
        ["version", "since", "part", "was", "is"],
        rows[: 2 * MOST_ROWS],
        right=frozenset({0}),
        wide=frozenset({3, 4}),
        note=more(len(changes), MOST_ROWS, "changes", "the newest"),
    )


def rewind_table(contents: Contents) -> Table | None:
    """Return the rewinds of the log, the newest first."""
    found = [
        [str(one.version), when(one.time), str(one.to), name(", ".join(one.exclude), 120)]
        for one in reversed(contents.history.rewinds)
    ]
    header = ["version", "time", "back to", "left out"]
    return Table(header, found[:MOST_ROWS], right=frozenset({0, 2})) if found else None


def n_partitions(trained: Sequence[TrainEntry]) -> int:
    """Return the number of partitions that were learnt."""
    return sum(len(entry.partitions) for entry in trained if entry.epoch == 1)


def files_table(trained: Sequence[TrainEntry]) -> Table:
    """Return the partitions that were learnt, the newest first, with their identity."""
    learnt = [(entry, one) for entry in trained if entry.epoch == 1 for one in entry.partitions]
    rows = [
        [
            name(one.name, 90),
            number(one.rows),
            number(one.fingerprint.size),
            name(one.fingerprint.footer_sha256, 64)[:16],
            str(entry.version),
        ]
        for entry, one in reversed(learnt[-MOST_FILES:])
    ]
    text = (
        f"sha256 over names and footers of all {len(learnt):,} partitions, in the order of "
        f"training: {_digest(one for _, one in learnt)}"
    )
    cut = more(len(learnt), MOST_FILES, "partitions", "the newest; onepass log lists all")
    return Table(
        ["partition", "rows", "bytes", "footer sha256", "version"],
        rows,
        right=frozenset({1, 2, 4}),
        wide=frozenset({0}),
        note=f"{cut} {text}".strip(),
    )


def _digest(partitions: Iterable[Partition]) -> str:
    found = hashlib.sha256()
    for one in partitions:
        line = f"{one.name}\0{one.fingerprint.footer_sha256}\n"
        found.update(line.encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _changes(trained: Sequence[TrainEntry]) -> Iterator[list[str]]:
    for before, entry in pairwise(trained):
        if entry.environment == before.environment:
            continue
        for key in dict.fromkeys([*before.environment, *entry.environment]):
            was, now = before.environment.get(key, ""), entry.environment.get(key, "")
            if was != now:
                yield [str(entry.version), when(entry.time), name(key), name(was), name(now)]


def _coefficient(one: Coefficient) -> list[str]:
    text = name(one.feature if one.read_as is None else f"{one.feature} ({one.read_as})")
    if one.aliased:
        return [text, "aliased", NONE, NONE, NONE, NONE]
    known = one.low is not None and one.high is not None
    p = real(one.p_value)
    return [
        text,
        number(one.coefficient),
        number(one.std_error, 3),
        f"{number(one.low, 3)} to {number(one.high, 3)}" if known else NONE,
        NONE if p is None else "< 0.0001" if p < 1e-4 else f"{p:.4f}",
        number(one.effect),
    ]


def _value(key: str, value: object) -> str:
    if key in {"lake", "holdout", "model"}:
        paths = value if isinstance(value, list) else [value]
        return ", ".join(place(str(one)) for one in paths[:20])
    if isinstance(value, list):
        return name(", ".join(map(str, value[:50])), 400)
    return name(str(value), 200)


def more(n: int, most: int, noun: str, which: str) -> str:
    """Return a note that a table is cut; nothing if it is whole."""
    return f"{most:,} of {n:,} {noun} are shown: {which}." if n > most else ""
