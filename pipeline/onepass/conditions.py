"""Conditions on the key=value folders of a lake, such as ``date >= today - 7d``.

The grammar::

    conditions = condition { ("and" | ",") condition }
    condition  = KEY ("=" | "!=" | "<" | "<=" | ">" | ">=") value
    value      = NUMBER | DATE | 'TEXT' | "today" [ ("+" | "-") DAYS "d" ]

``KEY`` is the name of a folder, in double quotes if it has blanks or signs. The value decides how a
folder is read: as a number, as a date (2026-11-28 or 20261128; what follows a date, such as an
hour, is ignored), or as text. A file without the folder, or with a null value, meets no condition.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeAlias

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_KEY = re.compile(r'(?!and\b)(?P<bare>[^\W\d]\w*)|"(?P<quoted>[^"]+)"')
_OPERATOR = re.compile(r"<=|>=|!=|=|<|>")
_VALUE = re.compile(
    r"(?P<today>today)\b(?:\s*(?P<days>[+-]\s*\d{1,5})\s*d\b)?"
    r"|(?P<date>\d{4}-\d{2}-\d{2})\b"
    r"|(?P<number>-?\d+(?:\.\d+)?)(?![\w.-])"
    r"|'(?P<text>[^']*)'"
)
_AND = re.compile(r"and\b|,")


@dataclass(frozen=True, slots=True)
class Today:
    """The date of a run, or some days before or after it."""

    days: int = 0


Value: TypeAlias = float | str | date | Today


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of the value of a folder."""

    key: str
    operator: str
    value: Value

    def holds(self, found: str | None, today: date) -> bool:
        """Return whether the value of a folder meets the condition.

        Parameters
        ----------
        found
            The value; None for a null key, or if there is no such folder.
        today
            Date of the run.

        Raises
        ------
        ValueError
            If the value is not of the kind that the condition compares with.
        """
        if found is None:
            return False
        wanted = self.value
        if isinstance(wanted, Today):
            wanted = today + timedelta(days=wanted.days)
        compares = _OPERATORS[self.operator]
        if isinstance(wanted, str):
            return compares(found, wanted)
        read, kind = (_date, "date") if isinstance(wanted, date) else (_number, "number")
        try:
            return compares(read(found), wanted)
        except ValueError:
            raise ValueError(f"the folder {self.key}={found} is no {kind}") from None


def parse_conditions(text: str) -> list[Condition]:
    """Parse conditions that all have to hold.

    Raises
    ------
    ValueError
        If the text does not follow the grammar; the message tells the place.

    Examples
    --------
    >>> parse_conditions("date >= today - 7d")
    [Condition(key='date', operator='>=', value=Today(days=-7))]
    """
    reader, found = _Reader(text), list[Condition]()
    while not found or not reader.is_at_end():
        if found:
            reader.take(_AND, "'and'")
        key = reader.take(_KEY, "the key of a folder, such as date")
        sign = reader.take(_OPERATOR, "one of = != < <= > >=")
        place = reader.place
        value = reader.take(_VALUE, "a number, a date, 'text', today, or today - 7d")
        try:
            found.append(Condition(key["bare"] or key["quoted"], sign[0], _value(value)))
        except ValueError:
            raise reader.fault("a date", place) from None
    return found


class _Reader:
    """Takes one piece of a text after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.place = 0
        self._skip_blanks()

    def take(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        found = pattern.match(self._text, self.place)
        if found is None:
            raise self.fault(expected, self.place)
        self.place = found.end()
        self._skip_blanks()
        return found

    def is_at_end(self) -> bool:
        return self.place >= len(self._text)

    def fault(self, expected: str, place: int) -> ValueError:
        rest = self._text[place : place + 20]
        found = repr(rest) if rest else "the end"
        return ValueError(
            f"expected {expected} at character {place + 1} of {self._text[:200]!r}, found {found}"
        )

    def _skip_blanks(self) -> None:
        while not self.is_at_end() and self._text[self.place].isspace():
            self.place += 1


def _value(found: re.Match[str]) -> Value:
    if found["today"]:
        return Today(int(re.sub(r"\s", "", found["days"] or "0")))
    if found["date"]:
        return date.fromisoformat(found["date"])
    return _number(found["number"]) if found["number"] else str(found["text"])


def _number(text: str) -> float:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _date(text: str) -> date:
    found = re.match(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)", text)
    if found is None:
        raise ValueError(text)
    return date(*map(int, found.groups()))


def holds(conditions: list[Condition], folders: Mapping[str, str | None], today: date) -> bool:
    """Return whether the folders of a file meet all conditions; raises as `Condition.holds`."""
    return all(one.holds(folders.get(one.key), today) for one in conditions)
