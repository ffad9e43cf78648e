"""Find the format of dates and times in text, and numbers that look like dates and times.

A format is chosen only if no other one reads the texts as well. Where days and months can be
exchanged, the user has to say which is which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.text_values import seconds_of, times_in_text
from onepass.encode.times import DAY
from onepass.survey.naming import assigning
from onepass.time_words import EPOCHS

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

_TRIED = 20
"""Number of texts that a format must read in order to be tried on more."""

_FEWEST_DATES = 3
"""Distinct texts of digits alone from which they are taken as dates."""

_SHORT_YEAR = re.compile(r"^\s*\d{1,2}([/.-])\d{1,2}\1\d{2}(\s.*)?$")

_EARLIEST, _LATEST = -70 * 365.25 * DAY, 130 * 365.25 * DAY
"""Seconds since 1970 of the years from 1900 to 2100, in which dates without a mark lie."""

_OFTEN_FROM, _OFTEN_TO = 25 * 365.25 * DAY, 80 * 365.25 * DAY
"""Seconds since 1970 of the years from 1995 to 2050, in which moments counted since 1970 lie."""

_TIME_NAME = re.compile(
    r"(time|date|timestamp|epoch|moment|created|updated|modified|(^|[_\W])(ts|at|on|day|dt))$",
    re.IGNORECASE,
)


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
        if _share(few.slice(0, _TRIED), missing, form) >= least - 0.1
        and (share := _share(few, missing, form)) >= least
    }
    if not shares:
        return Found(None)
    most = max(shares.values())
    best = [form for form, share in shares.items() if share == most]
    # A few whole numbers may be codes that happen to be dates.
    if best[0].startswith("%Y%m%d") and len(few.unique()) < _FEWEST_DATES:
        return Found(None)
    return Found(best[0]) if len(best) == 1 else Found(None, tuple(best))


def _share(texts: pa.Array, missing: tuple[str, ...], form: str) -> float:
    seconds, is_null = seconds_of(times_in_text(texts, missing, "", form))
    read = np.isfinite(seconds)
    if form.startswith("%Y%m%d"):
        read &= (seconds >= _EARLIEST) & (seconds < _LATEST)
    return float(read.sum()) / max(1, int((~is_null).sum()))


def advice_about_text(name: str, few: pa.Array, found: Found) -> str | None:
    """Return advice about texts that are dates whose format is left open; None if they are not."""
    if found.others:
        options = " or ".join(assigning("time_format", name, form) for form in found.others[:2])
        return (
            f"{name}: dates in which day and month cannot be told apart; read them with {options}"
        )
    present = few.drop_null().slice(0, _TRIED).to_pylist()
    if present and all(_SHORT_YEAR.match(text) for text in present):
        mark = present[0].strip().lstrip("0123456789")[:1]
        option = assigning("time_format", name, f"%d{mark}%m{mark}%y")
        return f"{name}: looks like dates with years of two digits; {option} reads such dates"
    return None


def advice_about_numbers(name: str, numbers: FloatArray) -> str | None:
    """Return advice about whole numbers that look like dates, or like moments; else None."""
    numbers = numbers[np.isfinite(numbers)]
    if len(np.unique(numbers)) < _FEWEST_DATES:
        return None
    if numbers.min() >= 19_000_101 and numbers.max() < 21_000_000:
        texts = pa.array(numbers.astype(np.int64)).cast(pa.string())
        if _share(texts, (), "%Y%m%d") == 1:
            option = assigning("time_format", name, "%Y%m%d")
            advice = f"read as a number ({option} to read them as dates)"
            return f"{name}: whole numbers that look like dates, {advice}"
    if not _TIME_NAME.search(name):
        return None
    for unit, per_second in EPOCHS.items():
        low, high = numbers.min() / per_second, numbers.max() / per_second
        if low >= _OFTEN_FROM and high < _OFTEN_TO:
            option = assigning("time_format", name, unit)
            advice = f"read as a number ({option} to read them as times)"
            return f"{name}: looks like {unit} since 1970, {advice}"
    return None
