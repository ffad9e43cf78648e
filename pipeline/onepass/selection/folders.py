"""Evaluate a comparison on the value of a key=value folder, which is text.

The value that the folder is compared with decides how the folder is read: as a number, a date, a
truth value or text. So ``hour = 7`` finds ``hour=07``, and ``hour = '7'`` does not.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onepass.selection.moments import as_date, parse_moment
from onepass.selection.tree import Compare, IsNull, Leaf, Like, Moment, OneOf, Value
from onepass.selection.types import CannotCompare, told

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def folder_holds(node: Leaf, found: str | None) -> bool | None:
    """Return whether the value of a folder meets a comparison; None if that is unknown.

    Parameters
    ----------
    found
        The value; None for a null key.

    Raises
    ------
    CannotCompare
        If the value is not of the kind that it is compared with.
    """
    if isinstance(node, IsNull):
        return found is None
    if found is None:
        return None
    if isinstance(node, Like):
        return matches(node.pattern, found)
    if isinstance(node, OneOf):
        return any(_read(node.column, found, one) == _plain(one) for one in node.values)
    assert isinstance(node, Compare)
    read = _read(node.column, found, node.value)
    return _OPERATORS[node.operator](read, _plain(node.value))


def matches(pattern: str, text: str) -> bool:
    """Return whether a text matches a pattern of ``like``."""
    # pyarrow's expressions take linear time, whatever stands in the pattern.
    found = pc.match_substring_regex(pa.array([text]), rf"(?s)\A{regex_of(pattern)}\z")
    return bool(found[0].as_py())


def regex_of(pattern: str) -> str:
    """Return a pattern of ``like`` as a regular expression for the whole text."""
    parts = {"%": ".*", "_": "."}
    return "".join(parts.get(one) or re.escape(one) for one in pattern)


def _plain(value: Value) -> Fraction | str | bool:
    return value.seconds if isinstance(value, Moment) else value


def _read(column: str, found: str, like: Value) -> Fraction | str | bool:
    """Return the value of a folder, read as the value that it is compared with."""
    match like:
        case bool():
            if found.lower() in {"true", "false"}:
                return found.lower() == "true"
        case Fraction():
            if re.fullmatch(r"[+-]?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,2})?", found):
                return Fraction(found)
        case Moment():
            day = as_date(found)
            moment = parse_moment(found) or (day and parse_moment(day.isoformat()))
            if moment:
                return moment.seconds
        case str():
            return found
    raise CannotCompare(column, f"the folder {column}={found} is compared with {told(like)}")
