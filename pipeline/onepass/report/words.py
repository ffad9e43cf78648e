"""Texts and numbers of the page; names of files, columns and classes may come from anybody."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from onepass.cloud.url import is_url

_MOST = 72
"""Characters of a name that are shown."""

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"
"""A minus as wide as a digit, and the sign of a cell without a value."""

_PARTS = re.compile(r"[\\/]+")


def name(text: str, most: int = _MOST) -> str:
    r"""Return a name for the page: without characters that steer, and cut in its middle.

    Anything that Unicode does not call printable is escaped, such as the marks that turn the
    direction of writing, with which a name can look like another one.
    """
    kept = text if len(text) <= 4 * most else f"{text[: 2 * most]}{text[-2 * most :]}"
    safe = "".join(one if one.isprintable() else _escaped(one) for one in kept)
    if len(safe) <= most and len(text) <= 4 * most:
        return safe
    tail = most // 3
    return f"{safe[: most - tail - 1]}…{safe[-tail:]}"


def prose(text: str) -> str:
    """Return a message for the page, of at most a few lines."""
    return name(" ".join(text.split()), 600)


def place(path: str) -> str:
    """Return a path for the page: a URL whole, of a local path its last two parts.

    The page is made to be passed on, and folders of a machine concern nobody else.
    """
    if is_url(path):
        return name(path, 120)
    parts = [part for part in _PARTS.split(path) if part]
    return name("/".join(parts[-2:]) or path, 120)


def distinct(names: Iterable[str]) -> list[str]:
    """Return names for the page, each different: an axis would join equal ones."""
    seen: dict[str, int] = {}
    found = []
    for one in names:
        text = name(one)
        seen[text] = seen.get(text, 0) + 1
        found.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return found


def real(value: float | int | None) -> float | None:
    """Return a number that JSON and a figure can hold; None for any other."""
    try:
        found = math.nan if value is None else float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def number(value: float | int | None, digits: int = 4, *, trim: bool = True) -> str:
    """Return a number for people, such as ``42.24``, ``70,797`` or ``3.1e-06``.

    Parameters
    ----------
    digits
        Significant digits of a number that is not whole.
    trim
        Whether to leave out zeros at its end; in a column of equal sizes they align the points.
    """
    found = real(value)
    if found is None:
        return NONE
    if isinstance(value, int):
        return f"{value:,}" if abs(found) < 1e15 else f"{found:.{digits}g}"
    size = abs(found)
    if size and not 1e-4 <= size < 1e15:
        return f"{found:.{digits - 1}e}".replace("-", MINUS)
    decimals = max(0, digits - 1 - math.floor(math.log10(size))) if size else 0
    text = f"{found:,.{min(decimals, 8)}f}"
    text = text.rstrip("0").rstrip(".") if trim and "." in text else text
    return text.replace("-", MINUS)


def share(value: float | None) -> str:
    """Return a share as a percentage, such as ``28.4 %``."""
    found = real(value)
    return NONE if found is None else f"{number(100 * found, 3)} %"


def moment(text: str) -> datetime | None:
    """Return a time of the log in UTC; None if it is none."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def when(text: str) -> str:
    """Return a time of the log for people, such as ``2026-03-02 04:05 UTC``."""
    found = moment(text)
    return name(text, 40) if found is None else f"{found:%Y-%m-%d %H:%M} UTC"


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
