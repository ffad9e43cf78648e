"""Warnings about a lake: leaks, sorted labels, absurd values, weights far from 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray, IntArray
from onepass.encode.columns import as_text, epoch_seconds, floats, plain
from onepass.encode.schema import Numeric, family
from onepass.survey.label import robust_scale
from onepass.survey.naming import naming
from onepass.survey.profile import ColumnProfile

LEAK = 0.95
"""Share of the label's variance that one column alone may explain before it is suspicious."""

SORTED = 0.25
"""Share of the label's variance that may lie between places before the lake counts as sorted."""

INTERLEAVE = 16
"""Partitions that are proposed to be read in turn where a lake is sorted across files."""

ABSURD = 1e6
"""Distance from the median, in robust scales, beyond which a value is hardly meant."""

USUAL_WEIGHTS = (1e-6, 1e6)
"""Mean weights within which penalties and priors, which are measured in rows, mean something."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of a sample lie."""

    row_group: IntArray
    """Number of the row group of each row, in stored order."""
    file: IntArray
    """Number of the file of each row."""
    n_files: int
    """Files of the lake that have rows."""


def label_order_warnings(
    label: str, values: FloatArray, place: Place, *, classes: bool = False
) -> list[str]:
    """Warn where the label depends on where a row lies, and say what helps.

    Parameters
    ----------
    values
        Labels of the sample, NaN where null.
    classes
        Whether they are indices of classes, whose order means nothing.
    """
    present = ~np.isnan(values)
    explained = _explained(classes)
    between_groups = explained(values[present], place.row_group[present])
    between_files = explained(values[present], place.file[present])
    if max(between_groups, between_files) < SORTED:
        return []
    if between_files >= SORTED and place.n_files > 1:
        return [
            f"{label}: {between_files:.0%} of the label's variance lies between files, so the lake "
            f"is sorted or grouped by it; --interleave {min(INTERLEAVE, place.n_files)} learns "
            "from all over it at once"
        ]
    return [
        f"{label}: {between_groups:.0%} of the label's variance lies between row groups of a file, "
        "so files are sorted or grouped by it; --order shuffled, the default, reads several row "
        "groups in turn"
    ]


def leak_warnings(
    label: str,
    target: FloatArray,
    sample: pa.Table,
    profiles: list[ColumnProfile],
    *,
    classes: bool = False,
) -> list[str]:
    """Warn about columns that alone predict the label almost perfectly.

    Parameters
    ----------
    target
        Labels of the sample, NaN where null.
    classes
        Whether they are indices of classes, whose order means nothing.
    """
    present = ~np.isnan(target)
    found = []
    for profile in profiles:
        if profile.use is not None:
            share = _alone(sample.column(profile.name).combine_chunks(), target, present, classes)
            if share > LEAK:
                found.append(
                    f"{profile.name}: alone explains {share:.1%} of {label}; known only after the "
                    f"fact? ({naming('exclude', profile.name)} to leave it out)"
                )
    return found


def absurd_warnings(sample: pa.Table, profiles: list[ColumnProfile]) -> list[str]:
    """Warn about columns of numbers with a value that is astronomically far from all others.

    It decides the scale that the column is frozen with, or, where the scale is that of the others,
    outweighs them all when it is learnt.
    """
    found = []
    for profile in profiles:
        if isinstance(profile.use, Numeric):
            values = floats(sample.column(profile.name).combine_chunks())
            values = values[np.isfinite(values)]
            far = _farthest(values)
            if far is not None:
                found.append(
                    f"{profile.name}: the value {far:g} is over {ABSURD:,.0f} times as far from "
                    "the median as most others, which count nothing beside it; repair it, or "
                    f"leave the column out ({naming('exclude', profile.name)})"
                )
    return found


def _farthest(values: FloatArray) -> float | None:
    """The value that is farthest from the median, where it is absurdly far."""
    if len(values) < 2:
        return None
    # Magnitudes near 1e308 would overflow in a difference.
    halved = values / 2
    distance = np.abs(halved - np.median(halved))
    at = int(distance.argmax())
    others = np.delete(halved, at)
    # A column that is otherwise constant has no scale but its magnitude.
    is_constant = bool(np.ptp(others) == 0)
    scale = max(1.0, float(np.abs(others).max(initial=0))) if is_constant else robust_scale(others)
    return float(values[at]) if distance[at] > ABSURD * scale else None


def weight_warnings(name: str, values: pa.Array) -> list[str]:
    """Warn about weights of rows whose mean is far from 1.

    Parameters
    ----------
    values
        Weights of the sample.
    """
    weights = floats(values)
    weights = weights[np.isfinite(weights) & (weights > 0)]
    mean = float(weights.mean()) if len(weights) else 1.0
    if USUAL_WEIGHTS[0] <= mean <= USUAL_WEIGHTS[1]:
        return []
    return [
        f"{name}: the weights are about {mean:.2g}; a row should count about 1, or penalties and "
        f"priors outweigh the data, or are of no effect: divide the column by {mean:.2g}"
    ]


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


def explained_classes(target: FloatArray, group: IntArray) -> float:
    """What `explained_variance` is for a number, for indices of classes.

    The sum over the classes of the variance of being of that class or not, which is their Gini
    impurity; for two classes the same as `explained_variance`.
    """
    n_rows = len(target)
    _, group, in_group = np.unique(group, return_inverse=True, return_counts=True)
    _, target_class, in_class = np.unique(target, return_inverse=True, return_counts=True)
    total = n_rows - float((in_class.astype(np.float64) ** 2).sum()) / max(1, n_rows)
    if total <= 0 or n_rows <= 2 * len(in_group):
        return 0.0
    cells, in_cell = np.unique(group * len(in_class) + target_class, return_counts=True)
    within = n_rows - float((in_cell**2.0 / in_group[cells // len(in_class)]).sum())
    # Adjusted for the groups' number: many small groups explain noise by chance.
    return max(0.0, 1 - (within / (n_rows - len(in_group))) / (total / (n_rows - 1)))


def _explained(classes: bool) -> Callable[[FloatArray, IntArray], float]:
    return explained_classes if classes else explained_variance


def _alone(values: pa.Array, target: FloatArray, present: np.ndarray, classes: bool) -> float:
    values, explained = plain(values), _explained(classes)
    kind = family(values.type)
    if kind == "text":
        codes = as_text(values).dictionary_encode().indices.fill_null(-1).to_numpy()
        return explained(target[present], codes[present])
    numbers = epoch_seconds(values) if kind == "time" else floats(values)
    present = present & np.isfinite(numbers)
    numbers, target = _within_one(numbers[present]), target[present]
    # Equal-count bins catch any monotone or stepwise dependence, not only a linear one.
    in_steps = explained(target, _bins(numbers))
    return in_steps if classes else max(_r_squared(numbers, target), in_steps)


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
