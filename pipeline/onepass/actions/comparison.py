"""The outcome of comparing two models."""

from __future__ import annotations

from pydantic import BaseModel

from onepass.learn.metrics.paired import PairedLosses
from onepass.training.report import finite

LEVEL = 0.95
"""Coverage of the interval of a difference."""


class Difference(BaseModel):
    """Losses of two models on some rows."""

    segment: str | None
    """Value of the column by which rows are divided; None for all rows."""
    rows: int
    first: float | None
    """Weighted mean loss of the first model."""
    second: float | None
    difference: float | None
    """Loss of the first model less that of the second: below 0, the first is better."""
    std_error: float | None
    """Standard error of the difference, for independent rows."""
    p_value: float | None
    """Two-sided p value of no difference."""
    low: float | None
    high: float | None
    """Bounds of the interval of the difference that covers 95 %."""


class CompareReport(BaseModel):
    """Two models compared on a lake."""

    first: str
    second: str
    """Model directories."""
    versions: tuple[int, int]
    loss: str
    """Loss that is compared, as `evaluate` reports it."""
    by: str | None
    """Column by which the rows are divided."""
    total: Difference
    segments: list[Difference]
    """Segments with the most rows first."""
    warnings: list[str]
    """Why the losses may not tell which model is better."""
    left_out: int
    """Rows that one of the models cannot use: without a label, or of a class that it lacks."""
    seconds: float
    rows_per_second: float
    peak_rss_bytes: int


def difference(segment: str | None, losses: PairedLosses) -> Difference:
    """Return the losses of two models on the rows of a segment, or on all rows."""
    low, high = losses.interval(LEVEL)
    first, second = losses.losses
    return Difference(
        segment=segment,
        rows=losses.n_rows,
        first=finite(first),
        second=finite(second),
        difference=finite(losses.difference),
        std_error=finite(losses.std_error),
        p_value=finite(losses.p_value),
        low=finite(low),
        high=finite(high),
    )
