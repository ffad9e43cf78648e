"""Warnings about a lake that only label and columns together show: leaks and sorted labels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.block import FloatArray, IntArray
from pipeline.encode.columns import as_text, epoch_seconds, floats, plain
from pipeline.encode.profile import ColumnProfile
from pipeline.encode.schema import family

LEAK = 0.95
"""Share of the label's variance that one column alone may explain before it is suspicious."""

SORTED = 0.25
"""Share of the label's variance that may lie between places before the lake counts as sorted."""


def label_order_warnings(
    label: str, values: FloatArray, place: IntArray, n_places: int
) -> list[str]:
    """Warn where the label depends on where a row lies.

    Parameters
    ----------
    values
        Labels of the sample, NaN where null.
    place
        Index of the row group that each row came from, in stored order.
    """
    present = ~np.isnan(values)
    share = explained_variance(values[present], place[present])
    if n_places < 2 or share < SORTED:
        return []
    return [
        f"{label}: {share:.0%} of the label's variance lies between row groups, so the lake is "
        "sorted or grouped by it; keep --order shuffled and prefer newton, which is not misled "
        "on squared loss"
    ]


def leak_warnings(
    label: str, target: FloatArray, sample: pa.Table, profiles: list[ColumnProfile]
) -> list[str]:
    """Warn about columns that alone predict the label almost perfectly."""
    present = ~np.isnan(target)
    found = []
    for profile in profiles:
        if profile.use is not None:
            share = _alone(sample.column(profile.name).combine_chunks(), target, present)
            if share > LEAK:
                found.append(
                    f"{profile.name}: alone explains {share:.1%} of {label}; known only after the "
                    f"fact? (--exclude {profile.name} to leave it out)"
                )
    return found


def explained_variance(target: FloatArray, group: IntArray) -> float:
    """Adjusted share of the variance of `target` between groups (eta squared), 0 to 1."""
    n_rows = len(target)
    target = _within_one(target)
    total = float(((target - target.mean()) ** 2).sum()) if n_rows else 0.0
    _, group = np.unique(group, return_inverse=True)
    n_groups = int(group.max(initial=-1)) + 1
    if total <= 0 or n_rows <= 2 * n_groups:
        return 0.0
    size = np.bincount(group)
    mean = np.bincount(group, target) / size
    within = float(((target - mean[group]) ** 2).sum())
    # Adjusted for the groups' number: many small groups explain noise by chance.
    return max(0.0, 1 - (within / (n_rows - n_groups)) / (total / (n_rows - 1)))


def _alone(values: pa.Array, target: FloatArray, present: np.ndarray) -> float:
    values = plain(values)
    kind = family(values.type)
    if kind == "text":
        codes = as_text(values).dictionary_encode().indices.fill_null(-1).to_numpy()
        return explained_variance(target[present], codes[present])
    numbers = epoch_seconds(values) if kind == "time" else floats(values)
    present = present & np.isfinite(numbers)
    numbers, target = _within_one(numbers[present]), target[present]
    # Equal-count bins catch any monotone or stepwise dependence, not only a linear one.
    return max(_r_squared(numbers, target), explained_variance(target, _bins(numbers)))


def _within_one(values: FloatArray) -> FloatArray:
    """Values over the largest of them: magnitudes near 1e300 would overflow when squared."""
    return values / (np.abs(values).max(initial=0) or 1.0)


def _r_squared(x: FloatArray, y: FloatArray) -> float:
    if len(x) < 10 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.corrcoef(x, _within_one(y))[0, 1]
    return float(r * r) if np.isfinite(r) else 0.0


def _bins(values: FloatArray, n_bins: int = 64) -> IntArray:
    if not len(values):
        return np.zeros(0, np.int64)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right").astype(np.int64)
