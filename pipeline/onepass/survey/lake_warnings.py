"""Warn about sorted labels, absurd values and weights far from 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray, IntArray
from onepass.encode.columns import floats
from onepass.encode.scalar_kinds import Numeric
from onepass.survey.dependence import explained_by_groups
from onepass.survey.naming import naming
from onepass.survey.profile import ColumnProfile
from onepass.survey.scale import robust_scale
from onepass.survey.uses import numbers_of

SORTED = 0.25
"""Share of the label's variance between files, row groups or stretches from which a lake counts as
sorted."""

INTERLEAVE = 16
"""Maximum number of partitions to interleave that the advice for a sorted lake proposes."""

ABSURD = 1e6
"""Distance from the median, in robust scales, beyond which a value is probably an error."""

USUAL_WEIGHTS = (1e-6, 1e6)
"""Range of the mean weight without a warning; penalties and priors assume rows of weight 1."""


@dataclass(frozen=True, slots=True)
class Place:
    """The places in the lake that the rows of a sample come from."""

    row_group: IntArray
    """Number of the row group of each row, in stored order."""
    file: IntArray
    """Number of the file of each row."""
    n_files: int
    """Number of files of the lake that have rows."""


def label_order_warnings(
    label: str, values: FloatArray, place: Place, *, classes: bool = False
) -> list[str]:
    """Warn if the label depends on the place of its row, with advice on the order of reading.

    Parameters
    ----------
    values
        Labels of the sample, NaN where null.
    classes
        Whether the labels are indices of classes, which have no order.
    """
    present = ~np.isnan(values)
    explained = explained_by_groups(classes=classes)
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
        "so files are sorted or grouped by it; the shuffled order, which is the default, reads "
        "several row groups in turn"
    ]


def drift_warnings(label: str, drift: float) -> list[str]:
    """Warn if the label depends on the place of its row within a file.

    Parameters
    ----------
    drift
        Share of the label's variance, see `onepass.survey.row_order.drift_within`.
    """
    if drift < SORTED:
        return []
    return [
        f"{label}: {drift:.0%} of the label's variance lies between stretches of a file, so its "
        "rows are sorted or grouped by it; the default order, shuffled, takes each block from "
        "all over the row groups of a file"
    ]


def absurd_warnings(sample: pa.Table, profiles: list[ColumnProfile]) -> list[str]:
    """Warn about columns of numbers with a value that is astronomically far from all others.

    Such a value either decides the scale of the column, or outweighs all other rows when it is
    learnt.
    """
    found = []
    for profile in profiles:
        if isinstance(profile.use, Numeric):
            values = numbers_of(profile.use, sample.column(profile.name).combine_chunks())
            far = absurd_value(values[np.isfinite(values)])
            if far is not None:
                treated = (
                    f"; it is read as {profile.use.curb}"
                    if profile.use.is_curbed
                    else ", which count nothing beside it; repair it, clip it (--tails clip), or "
                    f"leave the column out ({naming('exclude', profile.name)})"
                )
                found.append(
                    f"{profile.name}: the value {far:g} is over {ABSURD:,.0f} times as far from "
                    f"the median as most others{treated}"
                )
    return found


def absurd_value(values: FloatArray) -> float | None:
    """Return the value farthest from the median, or None if its distance is plausible."""
    if len(values) < 2:
        return None
    # Magnitudes near 1e308 would overflow in a difference.
    halved = values / 2
    distance = np.abs(halved - np.median(halved))
    at = int(distance.argmax())
    others = np.delete(halved, at)
    # A column that is otherwise constant has no scale except its magnitude.
    is_constant = bool(np.ptp(others) == 0)
    scale = max(1.0, float(np.abs(others).max(initial=0))) if is_constant else robust_scale(others)
    return float(values[at]) if distance[at] > ABSURD * scale else None


def weight_warnings(name: str, values: pa.Array) -> list[str]:
    """Warn about a column of row weights whose mean is far from 1.

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
