"""The answers of the first screen: is this model fine?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from onepass.ledger.entries import TrainEntry
from onepass.ledger.tag_entry import REFUSED
from onepass.report.contents import CALIBRATION, Contents, Judged, Row
from onepass.report.words import name, number, place, real, share
from onepass.text import counted

RECENT = 10
"""Entries whose drift asks for a look; older drift is told only."""

WORSE = 0.05
"""Rise of the holdout loss from one version to the next that asks for a look, as a share."""

MISCALIBRATED = 0.05
"""Mean distance of probabilities from the shares of positives that asks for a look, where it is
twice the distance that chance alone makes as well."""


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: what was found, and whether somebody should look."""

    standing: Literal["good", "look", "unknown"]
    title: str
    text: str


def checks(contents: Contents) -> list[Check]:
    """Return the answers, in the order of their weight."""
    return [
        *_against_constant(contents),
        _drift(contents),
        *_holdout(contents),
        *_calibration(contents),
        _files(contents),
        *_newer(contents),
        *_cautions(contents),
    ]


def _against_constant(contents: Contents) -> Iterator[Check]:
    loss, constant, n = recent_loss(contents.trained)
    if loss is None or constant is None:
        yield Check("unknown", "No loss to judge by", "The newest partitions recorded none.")
        return
    rows = f"the last {counted(n, 'row')} before they were learnt"
    if not loss < constant:
        text = f"On {rows}, the loss {number(loss)} is not below {number(constant)}."
        yield Check("look", "No better than a constant", text)
        return
    text = f"Loss {number(loss)} on {rows}; the best constant has {number(constant)}."
    yield Check("good", f"{share(1 - loss / constant)} below the best constant", text)


def recent_loss(trained: list[TrainEntry]) -> tuple[float | None, float | None, int]:
    """Return progressive loss, constant's loss and rows of the last tenth of the first epoch.

    Whole entries are counted, so it may be more than a tenth.
    """
    first = [entry for entry in trained if entry.epoch == 1]
    wanted = sum(entry.rows for entry in first) / 10
    loss = constant = 0.0
    rows = 0
    for entry in reversed(first):
        own, other = real(entry.loss), real(entry.metrics.get("constant_loss"))
        if own is not None and other is not None and entry.rows > 0:
            loss, constant, rows = (
                loss + own * entry.rows,
                constant + other * entry.rows,
                rows + entry.rows,
            )
        if rows and rows >= wanted:
            break
    return (loss / rows, constant / rows, rows) if rows else (None, None, 0)


def _drift(contents: Contents) -> Check:
    course = contents.course
    if not course.n_judged:
        text = "A band needs eight partitions or rounds before it."
        return Check("unknown", "Too few partitions to see drift", text)
    above, of = f"{course.n_above:,}", f"{course.n_judged:,} partitions or rounds"
    recent = [
        point
        for point in course.drifted
        if point.drift == "above" and point.place > course.n_entries - RECENT
    ]
    if recent:
        text = f"The loss of {recent[-1].name} is above its band. In all {above} of {of} are."
        return Check("look", "New data drifts", text)
    if course.n_above:
        text = f"Earlier, {above} of {of} had a loss above it."
        return Check("good", "Newest partitions in their band", text)
    return Check("good", "No drift", f"Not one of {of} lost more than those before it let expect.")


def _holdout(contents: Contents) -> Iterator[Check]:
    version = contents.model.version
    own = [one for one in contents.judged if one.version == version and real(one.loss) is not None]
    if not own:
        text = "Name a lake with --holdout to judge the model on rows that it never learns."
        yield Check("unknown", "Not judged on a holdout", text)
        return
    now = own[-1]
    assert now.loss is not None
    before = _before(contents.judged, now)
    rows = f"on {counted(now.rows, 'row')} of {place(now.lake)}"
    if now.constant is not None and not now.loss < now.constant:
        text = f"Loss {number(now.loss)} {rows}; a constant has {number(now.constant)}."
        yield Check("look", "Holdout: no better than a constant", text)
    elif before is not None and before.loss is not None and before.loss > 0:
        change = now.loss / before.loss - 1
        text = f"Loss {number(now.loss)} {rows}; version {before.version}: {number(before.loss)}."
        side = "worse" if change > 0 else "better"
        title = f"Holdout: {share(abs(change))} {side} than before"
        yield Check("look" if change > WORSE else "good", title, text)
    else:
        below = "" if now.constant is None else f"; a constant has {number(now.constant)}"
        yield Check("good", f"Holdout loss {number(now.loss)}", f"Measured {rows}{below}.")


def _before(judged: list[Judged], now: Judged) -> Judged | None:
    """Return the newest earlier version that was judged on the same rows.

    A holdout may move on with its lake. The loss of the best constant tells, as it is a number of
    the labels alone.
    """

    def rows(one: Judged) -> tuple[str, int, float | None]:
        return one.lake, one.rows, one.constant

    same = [one for one in judged if rows(one) == rows(now) and one.version < now.version]
    return max(same, key=lambda one: one.version, default=None)


def _calibration(contents: Contents) -> Iterator[Check]:
    found = contents.evaluated
    error = None if found is None else real(found.metrics.get("calibration_error"))
    if found is None or error is None:
        return
    text = f"On average they are {share(error)} away from the observed shares."
    if error > max(MISCALIBRATED, 2 * _by_chance(contents.table("calibration", CALIBRATION))):
        yield Check("look", "Probabilities are off", text)
    else:
        yield Check("good", "Probabilities hold", text)


def _by_chance(groups: list[Row]) -> float:
    """Return the mean distance that right probabilities have from shares of so few rows.

    The mean of |x| is sqrt(2 / pi) standard deviations of a normal x.
    """
    total = found = 0.0
    for group in groups:
        p, weight = group["prediction"] or 0.0, group["weight"] or 0.0
        total += weight
        found += (2 / math.pi * max(p * (1 - p) * weight, 0.0)) ** 0.5
    return found / total if total else 0.0


def _files(contents: Contents) -> Check:
    skipped = contents.skipped
    waiting = sum(
        len(group.partitions) for group in contents.history.pending(contents.model.version)
    )
    if skipped:
        newest = skipped[-1]
        how = "in quarantine" if newest.kind == "quarantine" else "left out for good"
        text = f"The last one, {name(newest.partition.path)}, is {how}. The reasons are below."
        return Check("look", f"{counted(len(skipped), 'file')} left out", text)
    if waiting:
        text = "They are planned, but not trained yet; the next run goes on with them."
        return Check("look", f"{counted(waiting, 'partition')} waiting", text)
    return Check("good", "Every file was learnt", "None was left out, and none is waiting.")


def _newer(contents: Contents) -> Iterator[Check]:
    newest, own = contents.history.newest_learnt(contents.history.version), contents.model.version
    if newest <= own:
        return
    if contents.tags.get(REFUSED) == newest:
        text = f"It was worse than version {own}; onepass tag and onepass log say more."
        yield Check("look", f"Version {newest} was refused", text)
        return
    text = f"This page is about version {own}; --version newest shows that one."
    yield Check("unknown", f"Version {newest} is newer", text)


def _cautions(contents: Contents) -> Iterator[Check]:
    n = len(contents.summary.warnings)
    if n:
        text = "They say where coefficients and intervals must not be taken at their word."
        yield Check("unknown", f"{counted(n, 'remark')} on the coefficients", text)
