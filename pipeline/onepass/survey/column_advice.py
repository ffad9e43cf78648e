"""Advice about columns whose values may mean something else than they are read as.

Nothing is guessed: the advice names the option with which a column is read in another way.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.times import DAY
from onepass.survey.naming import assigning, naming
from onepass.survey.text_columns import (
    LEAST_READ,
    format_of,
    marks_of,
    may_be_written,
    nearly_form,
    some_of,
)
from onepass.survey.time_formats import FEWEST_DATES, TRIED, Found, share_read, short_formats
from onepass.text import listed, percent
from onepass.time_words import EPOCHS

_SHORT_YEAR = re.compile(r"^\s*\d{1,2}([/.-])\d{1,2}\1\d{2}(,?\s.*)?$")

_OFTEN_FROM, _OFTEN_TO = 25 * 365.25 * DAY, 80 * 365.25 * DAY
"""Seconds since 1970 of the years from 1995 to 2050, in which moments counted since 1970 lie."""

_TIME_NAME = re.compile(
    r"(time|date|timestamp|epoch|moment|created|updated|modified|(^|[_\W])(ts|at|on|day|dt))$",
    re.IGNORECASE,
)

_MARK = re.compile(r"-?9{2,}|-9|-1")
"""Numbers that programs write for a missing value."""

_LEAST_ROWS = 100
"""Rows from which numbers are judged."""

_MARK_SHARE = 0.005
"""Share of the values from which such a number is noticed."""


def advice_about_text(name: str, texts: pa.Array, missing: tuple[str, ...]) -> str | None:
    """Return advice about a column of text that is no number and no time; None if there is none."""
    few = some_of(texts)
    if len(marks_of(few, missing)) == 2:
        return (
            f"{name}: looks like numbers, but a comma or a point may be a decimal mark or stand "
            "between thousands; write them as numbers"
        )
    if may_be_written(few):
        advice = _advice_about_dates(name, few, missing, format_of(texts, missing))
        if advice is not None:
            return advice
    form = nearly_form(texts, missing)
    if form is None:
        return None
    what = "numbers" if form.kind == "number" else "dates or times"
    others = listed([repr(text) for text in form.unreadable], 3)
    option = naming("missing", *form.unreadable)
    return (
        f"{name}: {percent(1 - form.unreadable_share)} of the texts are {what}, but not {others}; "
        f"{option} if such texts stand for a missing value"
    )


def _advice_about_dates(
    name: str, few: pa.Array, missing: tuple[str, ...], found: Found
) -> str | None:
    """Return advice about texts that are dates whose format is left open; None if they are not."""
    if found.others:
        options = " or ".join(assigning("time_format", name, form) for form in found.others[:2])
        return (
            f"{name}: dates in which day and month cannot be told apart; read them with {options}"
        )
    present = few.drop_null().slice(0, TRIED).to_pylist()
    short = [text for text in present if _SHORT_YEAR.match(text)]
    if 2 * len(short) > len(present) and (forms := short_formats(few, missing, LEAST_READ)):
        options = " or ".join(assigning("time_format", name, form) for form in forms)
        return f"{name}: looks like dates with years of two digits; {options} reads such dates"
    return None


def advice_about_numbers(name: str, numbers: FloatArray) -> str | None:
    """Return advice about whole numbers that look like dates, or like moments; else None."""
    numbers = numbers[np.isfinite(numbers)]
    if len(np.unique(numbers)) < FEWEST_DATES:
        return None
    if numbers.min() >= 19_000_101 and numbers.max() < 21_000_000:
        texts = pa.array(numbers.astype(np.int64)).cast(pa.string())
        if share_read(texts, (), "%Y%m%d") == 1:
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


def advice_about_marks(name: str, numbers: FloatArray) -> str | None:
    """Return advice about an outermost number that may stand for a missing value; else None.

    It is such as -999, occurs often, and is further from all others than these are from each other.
    """
    numbers = numbers[np.isfinite(numbers)]
    for mark in (numbers.min(), numbers.max()) if len(numbers) >= _LEAST_ROWS else ():
        others = numbers[numbers != mark]
        if not _MARK.fullmatch(f"{mark:.15g}") or not len(others):
            continue
        gap = max(others.min() - mark, mark - others.max())
        share = 1 - len(others) / len(numbers)
        if share >= _MARK_SHARE and gap > np.ptp(others) > 0:
            option = naming("missing", f"{mark:.15g}")
            return (
                f"{name}: {mark:.15g} in {percent(share)} of the rows; {option} if it stands for a "
                "missing value"
            )
    return None
