"""The thresholds between ordered classes, as rows of a summary."""

from __future__ import annotations

from collections.abc import Sequence

from onepass.actions.coefficient import Coefficient
from onepass.actions.inference.design import INTERCEPT


def split_thresholds(
    rows: Sequence[Coefficient],
) -> tuple[list[Coefficient], list[Coefficient]]:
    """Return the coefficients that all margins of ordinal loss share, and the thresholds.

    Parameters
    ----------
    rows
        Coefficients of a margin for each threshold, whose intercept is the threshold with its sign
        changed.
    """
    first = rows[0].output
    shared = [
        row.model_copy(update={"output": None})
        for row in rows
        if row.output == first and row.feature != INTERCEPT
    ]
    return shared, [_threshold(row) for row in rows if row.feature == INTERCEPT]


def _threshold(row: Coefficient) -> Coefficient:
    changed = {name: _opposite(getattr(row, name)) for name in ("coefficient", "z", "effect")}
    ends = {"low": _opposite(row.high), "high": _opposite(row.low)}
    named = {"feature": f"threshold {row.output}", "output": None, "column": None}
    ratios = dict.fromkeys(("ratio", "ratio_low", "ratio_high"))
    return row.model_copy(update=changed | ends | named | ratios)


def _opposite(value: float | None) -> float | None:
    return None if value is None else -value
