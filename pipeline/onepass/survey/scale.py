"""Location and scale of numbers, finite for every finite input."""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray

_ABSURD = 1e-4
"""If clipping the outermost values shrinks the deviation below this share, they are absurd."""


_TAIL = 10.0
"""Distance from the median, in robust scales, beyond which a number counts as no further away."""


def location_and_scale(values: FloatArray) -> tuple[float, float]:
    """Return the mean and the standard deviation.

    Without values the result is (0, 1). The scale is 1 where all values are equal. Where the
    outermost 0.1 % of the values make the deviation more than 10,000 times larger, they are first
    clipped to the quantiles 0.0005 and 0.9995.
    """
    if not len(values):
        return 0.0, 1.0
    center, scale = _moments(values)
    # One absurd value must not flatten all others. A heavy tail is part of the column and stays.
    low, high = np.quantile(values, [0.0005, 0.9995], method="nearest")
    usual_center, usual_scale = _moments(np.clip(values, low, high))
    if 0 < usual_scale < _ABSURD * scale:
        return usual_center, usual_scale
    return center, scale or 1.0


def robust_scale(values: FloatArray) -> float:
    """Return a scale that a tail does not move; 1 where all values are equal.

    It is the larger of IQR / 1.35 and 0.3 (q90 - q10) / 2.56, which are 1 and 0.3 standard
    deviations of a normal distribution. The second is above 0 even where half of the values are
    equal. Where both are 0, the scale is that of `location_and_scale`.
    """
    unit = float(np.abs(values).max()) or 1.0
    q10, q25, q75, q90 = np.quantile(values / unit, [0.1, 0.25, 0.75, 0.9])
    scale = float(max((q75 - q25) / 1.35, 0.3 * (q90 - q10) / 2.56)) * unit
    return scale or location_and_scale(values)[1]


def median(values: FloatArray) -> float:
    """Return the median."""
    unit = float(np.abs(values).max()) or 1.0
    return float(np.median(values / unit)) * unit


def winsorised_scale(values: FloatArray) -> float:
    """Return the root mean square distance from the median, with distances cut off in the tails.

    They are cut off at `_TAIL` robust scales. So the result is the standard deviation where tails
    are light, and never more than `_TAIL` robust scales; 1 where all
    values are equal.
    """
    # Magnitudes near 1e300 would overflow when squared, and so they are divided before.
    unit = float(np.abs(values).max()) or 1.0
    most = _TAIL * robust_scale(values / unit)
    distance = np.minimum(np.abs(values / unit - np.median(values / unit)), most)
    scale = float(np.sqrt(np.square(distance / most).mean())) * most
    return min(scale, 1.0) * unit or 1.0


def _moments(values: FloatArray) -> tuple[float, float]:
    """Return the mean and the standard deviation, 0 where that is mere rounding error."""
    # Magnitudes near 1e300 would overflow when squared.
    unit = float(np.abs(values).max()) or 1.0
    center, scale = float((values / unit).mean()), float((values / unit).std())
    return center * unit, scale * unit if scale > 1e-12 else 0.0
