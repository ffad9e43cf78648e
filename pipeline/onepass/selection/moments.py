"""Dates and times in text, as exact numbers of seconds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from fractions import Fraction

from onepass.selection.tree import Moment

_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?\s*(Z|[+-]\d{2}:?\d{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(text: str) -> Moment | None:
    """Return the date or time of a text in ISO 8601, with blank or T; None if it is none.

    A time without a zone is taken as UTC.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        seconds = _seconds(f"{day}T{clock or '00:00'}{zone or '+00:00'}")
    except ValueError:
        return None
    return Moment(seconds + Fraction(f"0.{fraction or 0}"), text)


def _seconds(text: str) -> Fraction:
    passed = datetime.fromisoformat(text) - _EPOCH
    return Fraction(passed.days * 86_400 + passed.seconds)


def as_date(text: str) -> date | None:
    """Return the date that a folder such as ``day=20260131`` names; None if it is none."""
    found = re.match(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)", text)
    try:
        return None if found is None else date(*map(int, found.groups()))
    except ValueError:
        return None
