"""Find the format of dates and times in text, and numbers that look like dates and times.

A format is chosen only if no other one reads the texts as well. Where days and months can be
exchanged, the user has to say which is which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onepass.encode.text_values import seconds_of, times_in_text
from onepass.encode.times import DAY

_DATES = (
    *(form for mark in "/.-" for form in (f"%d{mark}%m{mark}%Y", f"%m{mark}%d{mark}%Y")),
    *("%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%a, %d %b %Y"),
)
_CLOCKS = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
_FORMATS = (
    *_DATES,
    *(f"{date} {clock}" for date in _DATES for clock in (*_CLOCKS, "%H:%M:%S %z")),
    *(f"{date}, {clock}" for date in _DATES for clock in _CLOCKS),
    *("%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ"),
    *_CLOCKS,
)
_SHORT = tuple(
    f"{date}{clock}"
    for mark in "/.-"
    for date in (f"%d{mark}%m{mark}%y", f"%m{mark}%d{mark}%y", f"%y{mark}%m{mark}%d")
    for clock in ("", *(f"{gap}{clock}" for gap in (" ", ", ") for clock in _CLOCKS))
)

TRIED = 20
"""Number of texts that a format must read in order to be tried on more."""

FEWEST_DATES = 3
"""Distinct texts of digits alone from which they are taken as dates."""

_EARLIEST, _LATEST = -70 * 365.25 * DAY, 130 * 365.25 * DAY
"""Seconds since 1970 of the years from 1900 to 2100, in which dates without a mark lie."""


@dataclass(frozen=True, slots=True)
class Found:
    """Formats of a column of text."""

    format: str | None
    """The one format that reads the texts; None if none does, or if several do."""
    others: tuple[str, ...] = ()
    """Formats that read the texts with other meanings."""


def find_format(few: pa.Array, missing: tuple[str, ...], least: float) -> Found:
    """Find the format of texts.

    Parameters
    ----------
    few
        Some of the texts of a column, with all kinds that it has.
    missing
        Words for a missing value, in lower case.
    least
        Share of the texts, other than missing ones, that a format must read.
    """
    shares = {
        form: share
        for form in _FORMATS
        if share_read(few.slice(0, TRIED), missing, form) >= least - 0.1
        and (share := share_read(few, missing, form)) >= least
    }
    if not shares:
        return Found(None)
    most = max(shares.values())
    best = [form for form, share in shares.items() if share == most]
    # A few whole numbers may be codes that happen to be dates.
    if best[0].startswith("%Y%m%d") and len(few.unique()) < FEWEST_DATES:
        return Found(None)
    return Found(best[0]) if len(best) == 1 else Found(None, tuple(best))


def short_formats(few: pa.Array, missing: tuple[str, ...], least: float) -> tuple[str, ...]:
    """Return the formats with years of two digits that read most texts, and enough of them.

    Parameters
    ----------
    few, missing, least
        See `find_format`.
    """
    shares = {form: share_read(few, missing, form) for form in _SHORT}
    most = max(least, *shares.values())
    return tuple(form for form, share in shares.items() if share == most)


def share_read(texts: pa.Array, missing: tuple[str, ...], form: str) -> float:
    """Return the share of the texts, other than missing ones, that a format reads."""
    seconds, is_null = seconds_of(times_in_text(texts, missing, "", form))
    read = np.isfinite(seconds)
    if form.startswith("%Y%m%d"):
        read &= (seconds >= _EARLIEST) & (seconds < _LATEST)
    return float(read.sum()) / max(1, int((~is_null).sum()))
