"""Write the name of a column into advice, such that the user can copy the advice."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable

from onepass.wording import spoken

_MOST_WORDS = 6
"""Maximum number of words for a missing value that a reason shows."""


def naming(flag: str, *columns: str) -> str:
    """Return an option with columns (or classes) as its value, such as ``--exclude id``.

    A command gets a flag, quoted for a shell; Python and flows a line of a job file. A name that no
    flag can carry is always a line of a job file.
    """
    # The names in a flag's value are separated by commas, and blanks around them are stripped.
    if any(name != name.strip() or "," in name or not name for name in columns):
        return spoken(f"{flag}: {json.dumps(columns, ensure_ascii=False)} in --config")
    value = shlex.quote(",".join(columns))
    # Unquoted, the end of a sentence behind the value would be taken for a part of it.
    ends_plainly = value[-1].isalnum() or value[-1] in "'_"
    return spoken(f"--{flag}={value}" if ends_plainly else f"--{flag}='{value}'")


def assigning(field: str, column: str, value: str) -> str:
    """Return an option that gives a column a value, such as ``--time-format day=%d.%m.%Y``."""
    flag = field.replace("_", "-")
    if "=" in column or column != column.strip() or not column:
        shown = json.dumps({column: value}, ensure_ascii=False)
        return spoken(f"{flag}: {shown} in --config")
    return spoken(f"--{flag}={shlex.quote(f'{column}={value}')}")


def for_missing(found: tuple[str, ...]) -> str:
    """Return the words that stand for a missing value, as the end of a reason; "" for a blank."""
    if not found:
        return ""
    shown = ", ".join(repr(word) if word else "blank" for word in found[:_MOST_WORDS])
    return f"; {shown}{', ...' if len(found) > _MOST_WORDS else ''} for missing"


def fields_of(names: Iterable[str], present: Iterable[str]) -> str:
    """Return a hint at the fields of names that are structs; empty if none is."""
    found = [name for one in names for name in sorted(present) if name.startswith(f"{one}.")]
    return f" (a struct is read as its fields, such as {found[0]})" if found else ""
