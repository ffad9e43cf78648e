"""Judge whether a version is worse than the current one: on a holdout lake, or by its own rows."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from onepass.actions.evaluate import EvaluateReport
from onepass.ledger.bands import (
    Band,
    expected,
    expected_loss,
    loss_beside_exact_constant,
    relative_loss,
)
from onepass.ledger.entries import TrainEntry
from onepass.ledger.history import History


class Judgement(BaseModel):
    """Two losses, and whether the new one is too high."""

    by: Literal["holdout", "progressive", "nothing"]
    """The losses that were compared: those on the holdout lake, or the progressive ones of the
    newest partitions with the band in which they were expected; nothing if there is no band yet."""
    version: int
    """The version that is judged."""
    current: int
    """The version that predictions use so far."""
    loss: float | None
    """Loss on the holdout lake, or progressive loss over that of the best constant. It is the
    progressive loss itself where all labels of a partition are the same and a constant is exact."""
    limit: float | None
    """Largest loss at which the version is published."""
    current_loss: float | None
    """Holdout loss of the current version, or the middle of the band."""
    margin: float
    """Relative increase that is allowed."""
    is_worse: bool
    reason: str
    """The comparison in words."""


def by_holdout(new: EvaluateReport, old: EvaluateReport, margin: float) -> Judgement:
    """Compare the losses of two versions on the same rows; no loss is negative."""
    limit = old.loss * (1 + margin)
    is_worse = not new.loss <= limit
    found = "above" if is_worse else "within"
    return Judgement(
        by="holdout",
        version=new.version,
        current=old.version,
        loss=new.loss,
        limit=limit,
        current_loss=old.loss,
        margin=margin,
        is_worse=is_worse,
        reason=f"its loss on {new.rows:,} holdout rows is {new.loss:.6g}, {found} {limit:.6g}, "
        f"which is {_percent(margin)} more than the {old.loss:.6g} of version {old.version}",
    )


def by_bands(history: History, current: int, newest: int, margin: float) -> Judgement:
    """Compare the progressive losses since the current version with the band before.

    The loss of a partition before it is learnt shows whether its rows are like those before. One
    strange partition can ruin a model, so each is held against the band, and the worst decides.

    Parameters
    ----------
    current, newest
        The version that predictions use, and the one that is judged.
    """
    trained = history.trained(newest)
    before = [entry for entry in trained if entry.version <= current]
    worst: tuple[float, float, float, str] | None = None
    for entry in trained[len(before) :]:
        found = _held_against_band(entry, before)
        if found is None:
            continue
        loss, band, told = found
        limit = band.high * (1 + margin)
        if worst is None or loss / limit > worst[0] / worst[1]:
            worst = loss, limit, band.middle, f"{_named(entry)} is {loss:.4g}{told}"
    if worst is None:
        reason = "too few partitions were learnt before to say what loss is expected"
        return Judgement(
            by="nothing",
            version=newest,
            current=current,
            loss=None,
            limit=None,
            current_loss=None,
            margin=margin,
            is_worse=False,
            reason=reason,
        )
    loss, limit, middle, told = worst
    is_worse = loss > limit
    side = "above" if is_worse else "within"
    return Judgement(
        by="progressive",
        version=newest,
        current=current,
        loss=loss,
        limit=limit,
        current_loss=middle,
        margin=margin,
        is_worse=is_worse,
        reason=f"its progressive loss on {told}, {side} {limit:.4g}, which is {_percent(margin)} "
        f"more than the upper end of its band (the middle is {middle:.4g})",
    )


def _held_against_band(
    entry: TrainEntry, before: list[TrainEntry]
) -> tuple[float, Band, str] | None:
    """Return what is compared of an entry, its band, and words for the relation; None for neither.

    A partition whose labels have all become the same, such as zeros after a join that failed, has
    no loss relative to the best constant, which is exact there. So its loss itself is compared.
    """
    if (itself := loss_beside_exact_constant(entry)) is not None:
        loss, band = itself, expected_loss(before, entry.rows)
        told = ", and its labels are all the same"
    elif (relative := relative_loss(entry)) is not None:
        loss, band = relative, expected(before, entry.rows)
        told = " of the best constant's"
    else:
        return None
    return None if band is None else (loss, band, told)


def _named(entry: TrainEntry) -> str:
    """Name the partitions of an entry; those of a round are learnt side by side."""
    first, more = entry.partitions[0].name, len(entry.partitions) - 1
    return f"{first} and {more:,} more (version {entry.version})" if more else first


def _percent(margin: float) -> str:
    return f"{100 * margin:.4g} %"
