"""The course of training as points of figures, few enough for a page however long the log is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from onepass.ledger.bands import Drift, Standing, standings
from onepass.ledger.entries import TrainEntry
from onepass.report.words import moment, name, real, when

MOST_POINTS = 400
"""Most points of a figure. A longer history is told in points of several entries each."""


@dataclass(frozen=True, slots=True)
class Point:
    """One entry of the log, or several that follow each other; None where nothing is known."""

    place: int
    """Number of the last entry among those that have trained, from 1."""
    version: int
    name: str
    """The partitions."""
    time: str | None
    """Time of the last commit, ISO 8601."""
    rows: float | None
    loss: float | None
    """Progressive loss; of several entries the mean, weighted by rows, as all losses here."""
    constant: float | None
    """Loss of the best constant."""
    last_tenth: float | None
    relative: float | None
    """Progressive loss over that of the constant."""
    low: float | None
    """Lower end of the band of the relative loss."""
    high: float | None
    drift: Drift | None
    rows_per_second: float | None
    memory: float | None
    """Highest resident memory, in megabytes."""

    def as_json(self) -> dict[str, Any]:
        """Return the point as fields of JSON, with its time for people as well."""
        return asdict(self) | {"when": "" if self.time is None else when(self.time)}


@dataclass(frozen=True, slots=True)
class Course:
    """All of training, from the first partition to the last."""

    points: list[Point]
    n_entries: int
    per_point: int
    """Entries that a point stands for."""
    drifted: list[Point]
    """The entries that left their band, the newest `MOST_POINTS` of them."""
    n_drifted: int
    """Number of all entries that left their band."""
    n_above: int
    """Number of entries that were worse than their band."""
    n_judged: int
    """Number of entries for which a band was known."""

    def rows(self) -> list[dict[str, Any]]:
        """Return the points as rows of JSON; figures that draw the same rows share them."""
        return [point.as_json() for point in self.points]


def course(history: Sequence[TrainEntry], most_points: int = MOST_POINTS) -> Course:
    """Return the course of training.

    Parameters
    ----------
    history
        Entries that count, oldest first.
    most_points
        Most points of the course.
    """
    judged = list(zip(history, standings(history), strict=True))
    per_point = max(1, -(-len(judged) // most_points))
    points = [
        _point(chunk[-1][0] + 1, [one for _, one in chunk]) for chunk in _chunks(judged, per_point)
    ]
    out = [(at, pair) for at, pair in enumerate(judged, 1) if pair[1].drift is not None]
    return Course(
        points=points,
        n_entries=len(judged),
        per_point=per_point,
        drifted=[_point(at, [pair]) for at, pair in out[-MOST_POINTS:]],
        n_drifted=len(out),
        n_above=sum(pair[1].drift == "above" for _, pair in out),
        n_judged=sum(standing.band is not None for _, standing in judged),
    )


_Judged = tuple[TrainEntry, Standing]


def _chunks(judged: list[_Judged], size: int) -> Iterator[list[tuple[int, _Judged]]]:
    for _, own in groupby(enumerate(judged), key=lambda item: item[0] // size):
        yield list(own)


def _point(place: int, judged: list[_Judged]) -> Point:
    entries = [entry for entry, _ in judged]
    newest = entries[-1]
    drifts = [standing.drift for _, standing in judged]
    rows, seconds = sum(one.rows for one in entries), sum(one.seconds for one in entries)
    time = moment(newest.time)
    return Point(
        place=place,
        version=newest.version,
        name=partitions_of(entries),
        time=None if time is None else time.isoformat(timespec="milliseconds"),
        rows=real(rows),
        loss=_mean([(one.loss, one.rows) for one in entries]),
        constant=_mean([(one.metrics.get("constant_loss"), one.rows) for one in entries]),
        last_tenth=_mean([(one.last_tenth.loss, 1) for one in entries if one.last_tenth]),
        relative=_mean([(one.relative, entry.rows) for entry, one in judged]),
        low=_mean([(one.band.low, 1) for _, one in judged if one.band]),
        high=_mean([(one.band.high, 1) for _, one in judged if one.band]),
        drift="above" if "above" in drifts else "below" if "below" in drifts else None,
        rows_per_second=_ratio(rows, seconds),
        memory=_ratio(max(one.peak_rss_bytes for one in entries), 10**6),
    )


def partitions_of(entries: Sequence[TrainEntry]) -> str:
    """Return the partitions of some entries in a few words."""
    first, last = entries[0].partitions[0], entries[-1].partitions[-1]
    n = sum(len(one.partitions) for one in entries)
    return name(first.name) if n == 1 else f"{name(first.name, 48)} … {name(last.name, 48)} ({n:,})"


def _mean(pairs: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(found, real(rows)) for value, rows in pairs if (found := real(value)) is not None]
    total = sum(rows or 0.0 for _, rows in known)
    if not total > 0:
        return None
    return real(sum(value * (rows or 0.0) for value, rows in known) / total)


def _ratio(part: float, whole: float) -> float | None:
    above, below = real(part), real(whole)
    return None if above is None or not below else real(above / below)
