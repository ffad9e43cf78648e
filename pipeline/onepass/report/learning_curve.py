"""The learning curve of a model: its progressive loss against the rows learnt, from the log alone.

Each row is predicted before it is learnt, so the loss of a stretch of rows says how good the model
was that had learnt the rows before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from onepass.ledger.entries import TrainEntry
from onepass.report.points import MOST_POINTS, course


class CurvePoint(BaseModel):
    """One stretch of rows: one group of partitions or round, or several that follow each other."""

    version: int
    """Version after the stretch."""
    learnt: float
    """Rows learnt up to its end, those of later epochs included."""
    rows: float
    """Rows of the stretch."""
    loss: float | None
    """Progressive loss, mean per row."""
    constant_loss: float | None
    """Loss of the best constant on the same rows."""


def learning_curve(
    history: Sequence[TrainEntry], most_points: int = MOST_POINTS
) -> list[CurvePoint]:
    """Return the points of the curve, oldest first.

    Parameters
    ----------
    history
        Entries that count, oldest first.
    most_points
        Most points; a longer history has points of several entries each.
    """
    found: list[CurvePoint] = []
    learnt = 0.0
    for point in course(history, most_points).points:
        rows = point.rows or 0.0
        learnt += rows
        found.append(
            CurvePoint(
                version=point.version,
                learnt=learnt,
                rows=rows,
                loss=point.loss,
                constant_loss=point.constant,
            )
        )
    return found
