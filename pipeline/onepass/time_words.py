"""Words about times in a job: zones, formats with the directives of `strptime`, and units."""

from __future__ import annotations

import re
from datetime import timedelta, tzinfo
from datetime import timezone as fixed_zone
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EPOCHS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
"""Units of numbers that count the time since 1970 (UTC), with their number in a second."""

DIRECTIVES = "YymdBbAaHIMSfpzZ"
"""Letters that a format may have behind a percent sign."""

_DATE, _TIME = set("YymdBb"), set("HIMSfp")

_FIXED = re.compile(r"^([+-])(\d{2}):?(\d{2})$")


@cache
def find_zone(name: str) -> tzinfo:
    """Return a time zone by its name, such as ``Europe/Berlin``, or its distance, as ``+02:00``.

    Raises
    ------
    ValueError
        If there is no such zone in the tz database of this machine.
    """
    if fixed := _FIXED.fullmatch(name):
        distance = timedelta(hours=int(fixed[2]), minutes=int(fixed[3]))
        return fixed_zone(distance if fixed[1] == "+" else -distance)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"expected a time zone such as Europe/Berlin, found {name!r}; if that is one, this "
            "machine has no tz database: pip install tzdata"
        ) from None


def is_utc(name: str) -> bool:
    """Whether a zone has the clock of UTC."""
    return name.upper() in {"UTC", "Z", "GMT", "ETC/UTC", "ETC/GMT", "+00:00", "-00:00"}


def check_format(text: str) -> None:
    """Check that a format names a whole date, or a time of day.

    Raises
    ------
    ValueError
        If it does not, or has an unknown directive.
    """
    found = set(_letters(text))
    if unknown := sorted(found - {*DIRECTIVES, "%"}):
        known = ", ".join(f"%{letter}" for letter in DIRECTIVES)
        raise ValueError(f"expected the directives {known}, found %{unknown[0]} in {text!r}")
    has_date = found & set("Yy") and found & set("mBb") and "d" in found
    if not (has_date or (is_clock(text) and found & set("HI"))):
        raise ValueError(
            f"expected a year, month and day such as %d.%m.%Y, or a time of day such as %H:%M, "
            f"found {text!r}"
        )


def is_clock(text: str) -> bool:
    """Whether a format has a time of day and no date."""
    found = set(_letters(text))
    return not found & _DATE and bool(found & _TIME)


def has_zone(text: str) -> bool:
    """Whether texts of a format say their distance to UTC."""
    return bool(set(_letters(text)) & set("zZ"))


def _letters(form: str) -> list[str]:
    parts = iter(form)
    return [next(parts, "") for one in parts if one == "%"]
