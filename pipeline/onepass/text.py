"""Text for messages: escape control characters, cut long values short, count things."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_STEERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters of ASCII and Latin-1, and bytes of a name that are not UTF-8."""

_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

_SHOWN = 200
"""Number of characters that `clipped` keeps by default."""


def printable(text: str, *, lines: bool = False) -> str:
    r"""Write control characters as Python escapes them, such as ``\x1b``.

    Names of files and columns may hold them, and a terminal would execute them.

    Parameters
    ----------
    lines
        Whether to keep newlines, as in a message of several lines.
    """
    return _STEERS.sub(lambda found: _escaped(found.group(), lines), text)


def _escaped(character: str, lines: bool) -> str:
    if lines and character == "\n":
        return character
    code = ord(character)
    return _NAMED.get(character, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def shown(value: Any) -> str:
    """Return the repr of a value, cut after 200 characters."""
    return clipped(repr(value))


def clipped(text: str, most: int = _SHOWN) -> str:
    """Return a text, cut after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}..."


def listed(items: Sequence[str], most: int, separator: str = ", ") -> str:
    """Join texts, the first `most` of them; the number of all stands behind a longer list."""
    more = f"{separator}... ({len(items):,} in all)" if len(items) > most else ""
    return separator.join(items[:most]) + more


def visible(name: str) -> str:
    """Return a name, in quotes if it is empty or has blanks at its ends."""
    return name if name and name == name.strip() else repr(name)


def percent(share: float, digits: int = 1) -> str:
    """Return a share as a percentage that is neither 0 nor 100 % unless the share is.

    Examples
    --------
    >>> percent(0.25), percent(0.00001), percent(0.99999), percent(0.0)
    ('25.0%', '<0.1%', '>99.9%', '0.0%')
    """
    least = 10.0**-digits
    if share > 0 and 100 * share < least / 2:
        return f"<{least:.{digits}f}%"
    if share < 1 and 100 * (1 - share) < least / 2:
        return f">{100 - least:.{digits}f}%"
    return f"{share:.{digits}%}"


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 partition`` or ``2,000 partitions``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def megabytes(nbytes: float) -> str:
    """Return a size in megabytes, such as ``1,074 MB``."""
    return f"{nbytes / 1e6:,.0f} MB"
