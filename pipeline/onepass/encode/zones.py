"""Find the local time of moments in a time zone, with its changes of daylight saving.

The changes of a zone come from the tz database by way of `zoneinfo`. They are looked for once, and
each moment then takes one search in a table. Arrow has kernels for this as well, but they need a
database of their own on some systems, and end in 2037 with some files of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from onepass.block import FloatArray, IntArray
from onepass.errors import JobError
from onepass.time_words import find_zone

_FIRST, _LAST = 1850, 2400
"""Years of the table. Before it, the zone has the distance to UTC that it has in the first year."""

_FOUR_CENTURIES = 146_097 * 86_400
"""Seconds in which the calendar, weekdays included, repeats; rules of daylight saving do so too."""

_STEP = 7 * 86_400
"""A zone never changes twice within so many seconds and ends where it began: Ramadan is longer."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def local_seconds(seconds: FloatArray, zone: str) -> FloatArray:
    """Return what clocks of a zone show, as seconds since 1970 on these clocks.

    Parameters
    ----------
    seconds
        Seconds since 1970 (UTC), without NaN.

    Raises
    ------
    JobError
        If this machine does not know the zone.
    """
    changes, distances = _changes(zone)
    last = float(changes[-1])
    later = last - _FOUR_CENTURIES + (seconds - last) % _FOUR_CENTURIES
    folded = np.where(seconds < last, seconds, later)
    return seconds + distances[np.searchsorted(changes, folded, side="right")]


@cache
def _changes(zone: str) -> tuple[IntArray, FloatArray]:
    """Return the moments at which a zone changes, and its distances to UTC before and after each.

    The last moment is the end of the table.
    """
    try:
        found = find_zone(zone)
    except ValueError as error:
        raise JobError(f"the model reads times by the zone {zone!r}: {error}") from None

    def distance(at: int) -> float:
        shown = (_EPOCH + timedelta(seconds=at)).astimezone(found).utcoffset()
        return 0.0 if shown is None else shown.total_seconds()

    start, end = (int((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
                  for year in (_FIRST, _LAST))  # fmt: skip
    changes, distances = [], [distance(start)]
    for low in range(start, end, _STEP):
        high = min(low + _STEP, end)
        if (after := distance(high)) == distances[-1]:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if distance(middle) == distances[-1] else (low, middle)
        changes.append(high)
        distances.append(after)
    return np.array([*changes, end], np.int64), np.array([*distances, distances[-1]])
