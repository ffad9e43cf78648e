"""Judge whether a version is worse than the current one: on a holdout lake, or by its own rows."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from onepass.actions.evaluate import EvaluateReport
from onepass.ledger.bands import expected, relative_loss
from onepass.ledger.history import History


class Judgement(BaseModel):
    """Two losses, and whether the new one is too high."""

    by: Literal["holdout", "progressive", "nothing"]
    """What was compared: losses on the holdout lake, or the progressive losses of the newest
    partitions with the band in which they were expected; nothing if the band is not known yet."""
    version: int
    """The version that is judged."""
    current: int
    """The version that predictions use so far."""
    loss: float | None
    """Loss on the holdout lake, or progressive loss over that of the best constant."""
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
        relative, band = relative_loss(entry), expected(before, entry.rows)
        if relative is None or band is None:
            continue
        limit = band.high * (1 + margin)
        if worst is None or relative / limit > worst[0] / worst[1]:
            worst = relative, limit, band.middle, entry.partitions[0].name
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
    relative, limit, middle, name = worst
    is_worse = relative > limit
    return Judgement(
        by="progressive",
        version=newest,
        current=current,
        loss=relative,
        limit=limit,
        current_loss=middle,
        margin=margin,
        is_worse=is_worse,
        reason=f"its progressive loss on {name} is {relative:.4g} of the best constant's, "
        f"{'above' if is_worse else 'within'} {limit:.4g}, which is {_percent(margin)} more than "
        f"the upper end of its band (the middle is {middle:.4g})",
    )


def _percent(margin: float) -> str:
    return f"{100 * margin:.4g} %"
