"""Make the updaters that settings ask for, and count the bytes that they take."""

from __future__ import annotations

from typing import Any

import numpy as np

from onepass.learn.cross_validator import CrossValidator
from onepass.learn.cumulative import thresholds_of
from onepass.learn.firstorder.solver import FirstOrder, Steps
from onepass.learn.losses import LOG_LINK, SEVERAL, Loss
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.newton import Newton
from onepass.learn.newton.ordinal import Ordinal
from onepass.learn.settings import Settings
from onepass.learn.updater import Updater


def learner_bytes(settings: Settings) -> int:
    """Return the bytes to set aside for a learner: its state at its fullest, copies, temporaries.

    Settings from a file of unknown origin are checked with this before any array is made. The size
    of blocks follows from it, too, so its value must not change for existing models.
    """
    _, working = head_bytes(settings)
    return n_heads(settings) * working + CrossValidator.working_bytes(settings)


def n_heads(settings: Settings) -> int:
    """Return the number of updaters: one for each quantile, or one."""
    return len(settings.quantiles) if settings.loss == "quantile" else 1


def head_bytes(settings: Settings) -> tuple[int, int]:
    """Return the bytes of one head's state, and of what to set aside for it."""
    s = settings
    loss = Loss(s.loss, n_classes=max(1, s.n_classes) if s.loss in SEVERAL else 0)
    if loss.is_ordered:
        return (
            Ordinal.nbytes(loss, s.n_dense, has_offset=s.has_offset, keeps=s.keeps),
            Ordinal.working_bytes(loss, s.n_dense, keeps=s.keeps),
        )
    if s.solver != "newton":
        shape, averages = (s.solver, loss, s.n_dense, s.n_slots), s.averaging == "polynomial"
        return (
            FirstOrder.nbytes(*shape, averages=averages),
            FirstOrder.working_bytes(*shape, averages=averages),
        )
    if s.n_slots:
        sizes = (loss, s.n_dense, s.n_slots)
        return (
            Hybrid.nbytes(*sizes, keeps=s.keeps, slot_prior=s.slot_prior),
            Hybrid.working_bytes(*sizes, keeps=s.keeps),
        )
    return (
        Newton.nbytes(loss, s.n_dense, has_offset=s.has_offset, keeps=s.keeps),
        Newton.working_bytes(loss, s.n_dense, keeps=s.keeps),
    )


def make_updater(settings: Settings, loss: Loss) -> Updater:
    """Return the updater of one head, which has learnt nothing."""
    s = settings
    if s.solver != "newton":
        steps = Steps(
            learning_rate=s.learning_rate or 1.0,
            schedule=s.schedule,
            averages=s.averaging == "polynomial",
            implicit=s.implicit,
            minibatch=s.minibatch,
            l1=s.l1,
            l2=s.l2,
        )
        # Starting at the shares of two classes, most rules end some percent further off.
        base = s.base if s.loss in LOG_LINK else 0.0
        return FirstOrder(s.solver, loss, s.n_dense, s.n_slots, steps, base=base)
    if loss.is_ordered:
        cuts = thresholds_of(np.array(s.bases) if s.bases else np.zeros(s.n_classes))
        return Ordinal(
            loss,
            s.n_dense,
            l2=s.l2,
            base=cuts,
            half_life=s.half_life_rows,
            has_offset=s.has_offset,
            keeps=s.keeps,
        )
    shared: dict[str, Any] = {
        "l2": s.l2,
        "base": np.array(s.bases) if s.bases else s.base,
        "half_life": s.half_life_rows,
        "careful": s.careful,
        "by_columns": s.by_columns,
        "saturated": s.saturated,
        "keeps": s.keeps,
        "penalties": s.penalties,
    }
    if s.n_slots:
        classes = () if s.repeats else s.class_weights
        shared |= {"slot_prior": s.slot_prior, "uncertain": s.uncertain, "class_weights": classes}
        return Hybrid(loss, s.n_dense, s.n_slots, **shared)
    return Newton(loss, s.n_dense, has_offset=s.has_offset, **shared)
