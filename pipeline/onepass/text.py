"""Text from elsewhere on a terminal: names of files and columns may hold what steers one."""

from __future__ import annotations

import re

_STEERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters of ASCII and Latin-1, and bytes of a name that are no UTF-8."""

_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str, *, lines: bool = False) -> str:
    r"""A text with control characters as Python writes them, such as ``\x1b``; all else stays.

    Parameters
    ----------
    lines
        Whether it is a message whose newlines are meant, and no name.
    """
    return _STEERS.sub(lambda found: _escaped(found.group(), lines), text)


def _escaped(character: str, lines: bool) -> str:
    if lines and character == "\n":
        return character
    code = ord(character)
    return _NAMED.get(character, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
