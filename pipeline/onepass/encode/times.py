"""Encode dates and timestamps as a trend and as cycles of the day, the week and the year."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.columns import floats, plain
from onepass.encode.schema import Time

DAY = 86_400.0
"""Seconds of a day."""

_YEAR = 365.2425 * DAY

_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def epoch_seconds(values: pa.Array) -> FloatArray:
    """Return dates or timestamps as seconds since 1970 (UTC), null as NaN."""
    values = plain(values)
    # Each unit is converted as a float: Arrow's casts between units wrap around in the far future.
    if pa.types.is_timestamp(values.type):
        return floats(values.cast(pa.int64())) / _PER_SECOND[values.type.unit]
    if pa.types.is_date64(values.type):
        return floats(values.cast(pa.int64())) / _PER_SECOND["ms"]
    return floats(values.cast(pa.int32())) * DAY


def time_features(column: Time, seconds: FloatArray) -> list[FloatArray]:
    """Return the features of a time column, each of shape (n_rows,), in the order of its names.

    Parameters
    ----------
    seconds
        Seconds since 1970 (UTC), without NaN.
    """
    return [feature for part in column.parts for feature in _part(part, seconds, column)]


def _part(part: str, seconds: FloatArray, column: Time) -> list[FloatArray]:
    match part:
        case "trend":
            return [(seconds - column.center) / column.scale]
        case "weekday":
            # 1970-01-01 was a Thursday. Monday is the reference and has no feature.
            weekday = (np.floor(seconds / DAY) + 3) % 7
            return [(weekday == day).astype(np.float64) for day in range(1, 7)]
        case cycle:
            angle = seconds * (2 * np.pi / (DAY if cycle == "hour" else _YEAR))
            return [np.sin(angle), np.cos(angle)]
