"""Parse the condition of `where`, a small part of SQL, with sqlglot.

The grammar::

    condition = condition ("and" | "or") condition | "not" condition | "(" condition ")" | test
    test      = COLUMN ("=" | "<>" | "!=" | "<" | "<=" | ">" | ">=") value      (or turned round)
              | COLUMN ["not"] "in" "(" value { "," value } ")"
              | COLUMN ["not"] "between" value "and" value
              | COLUMN ["not"] "like" 'TEXT'
              | COLUMN "is" ["not"] "null"
              | COLUMN                                                   (a column of truth values)
    value     = NUMBER | 'TEXT' | DATE | "date" 'TEXT' | "timestamp" 'TEXT' | "true" | "false"

``COLUMN`` is a name, with dots for parts of structs, in double quotes if it has blanks or signs.
``DATE`` is written like 2026-01-31; a date or time in quotes is read as such where the column is
one. sqlglot knows more of SQL than this, and all of that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from onepass.selection.moments import parse_moment
from onepass.selection.tree import (
    And,
    Compare,
    IsNull,
    Like,
    Moment,
    Node,
    Not,
    OneOf,
    Operator,
    Or,
    Value,
)

if TYPE_CHECKING:
    from sqlglot import exp

_MOST_LETTERS = 100_000
"""Maximum length of a condition; a list of 10,000 ids fits."""

_MOST_DEPTH = 50
"""Maximum nesting of conditions; a chain of one operator is one level."""

_MOST_OF_PATTERN = 1000
"""Maximum length of a pattern; an expression is compiled from it."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_FLIPPED: dict[Operator, Operator] = {
    "=": "=",
    "<>": "<>",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
}
_NAMES: dict[str, Operator] = {
    "EQ": "=",
    "NEQ": "<>",
    "LT": "<",
    "LTE": "<=",
    "GT": ">",
    "GTE": ">=",
}
"""Operators by the names of sqlglot's classes."""

_TESTS = "a comparison of a column with a value, such as amount >= 10 or country in ('IS', 'NO')"


@lru_cache(maxsize=64)
def parse_where(text: str) -> Node:
    """Parse a condition.

    Raises
    ------
    ValueError
        If the text does not follow the grammar; the message points at the place.

    Examples
    --------
    >>> parse_where("country = 'IS'")
    Compare(column='country', operator='=', value='IS')
    """
    if len(text) > _MOST_LETTERS:
        raise ValueError(f"expected at most {_MOST_LETTERS:,} characters, found {len(text):,}")
    try:
        return _Reader(text).node(_parsed(text))
    except RecursionError:
        raise ValueError("the condition is nested too deeply") from None


def _parsed(text: str) -> exp.Expr:
    # sqlglot takes a tenth of a second to import, and few jobs have a condition.
    from sqlglot import ErrorLevel, errors, parse_one

    try:
        return parse_one(text, error_level=ErrorLevel.IMMEDIATE)
    except errors.ParseError as error:
        found = error.errors[0] if error.errors else {}
        lines = text.splitlines(keepends=True)
        line = int(found.get("line") or 1)
        # Its column is the end of the piece at which it stopped.
        behind = sum(map(len, lines[: line - 1])) + int(found.get("col") or 1)
        start = max(0, behind - len(str(found.get("highlight") or "")))
        raise ValueError(fault(text, start, _why(str(found.get("description") or "")))) from None
    except errors.SqlglotError as error:
        raise ValueError(f"cannot be read: {str(error).splitlines()[0][:200]}") from None


def _why(description: str) -> str:
    if description.startswith("Required keyword"):
        return "something is missing behind"
    if description.startswith("Expecting"):
        return f"expected {description.removeprefix('Expecting').strip().rstrip('.')} behind"
    return "did not expect"


def fault(text: str, place: int, why: str) -> str:
    """Return a message that points at a place of a text.

    Parameters
    ----------
    place
        Number of the character at fault, from 0.
    why
        Words that the text at this place continues.
    """
    rest = text[place : place + 20]
    return f"{why} {rest!r}, at character {place + 1} of {text[:200]!r}"


class _Reader:
    """Makes a tree of what sqlglot has parsed."""

    def __init__(self, text: str) -> None:
        self._text, self._depth = text, 0
        # By the names of the classes, which sqlglot has moved between modules.
        self._of: dict[str, Callable[[exp.Expr], Node]] = {
            "And": lambda one: And(self._parts(one)),
            "Or": lambda one: Or(self._parts(one)),
            "Not": lambda one: Not(self.node(one.this)),
            "Paren": lambda one: self.node(one.this),
            "In": self._in,
            "Between": self._between,
            "Like": self._like,
            "Is": self._is,
            "Column": lambda one: Compare(self._column(one), "=", True),
            "Dot": lambda one: Compare(self._column(one), "=", True),
        }
        self._of |= dict.fromkeys(_NAMES, self._comparison)

    def node(self, found: exp.Expr) -> Node:
        """Return the tree of a condition."""
        made = self._of.get(type(found).__name__)
        if made is None and type(found).__name__ == "Alias":
            raise self._refused(found.args["alias"], "did not expect")
        if made is None:
            raise self._refused(found, f"expected {_TESTS}, found")
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise RecursionError
        node = made(found)
        self._depth -= 1
        # Newer versions of sqlglot have `not like` as one expression.
        return Not(node) if found.args.get("negate") else node

    def _parts(self, found: exp.Expr) -> tuple[Node, ...]:
        """Return the parts of a chain of one operator, which sqlglot nests to the left."""
        parts, kind = [], type(found)
        while type(found) is kind:
            parts.append(self.node(found.expression))
            found = found.this
        return (self.node(found), *reversed(parts))

    def _comparison(self, found: exp.Expr) -> Node:
        operator, one, other = _NAMES[type(found).__name__], found.this, found.expression
        if not _is_column(one) and _is_column(other):
            one, other, operator = other, one, _FLIPPED[operator]
        if _is_column(other):
            raise self._refused(other, "expected a value (text stands in single quotes), found")
        return Compare(self._column(one), operator, self._value(other))

    def _in(self, found: exp.Expr) -> Node:
        values = found.args.get("expressions") or []
        if not values:
            raise self._refused(found.this, "expected a list of values behind in, after")
        return OneOf(self._column(found.this), tuple(self._value(one) for one in values))

    def _between(self, found: exp.Expr) -> Node:
        if found.args.get("symmetric"):
            raise self._refused(found, "symmetric is not known, after")
        column, low, high = (found.args[name] for name in ("this", "low", "high"))
        name = self._column(column)
        return And((Compare(name, ">=", self._value(low)), Compare(name, "<=", self._value(high))))

    def _like(self, found: exp.Expr) -> Node:
        pattern = self._value(found.expression)
        if not isinstance(pattern, str) or len(pattern) > _MOST_OF_PATTERN:
            why = f"expected 'text' of at most {_MOST_OF_PATTERN:,} characters behind like, found"
            raise self._refused(found.expression, why)
        return Like(self._column(found.this), pattern)

    def _is(self, found: exp.Expr) -> Node:
        if type(found.expression).__name__ != "Null":
            raise self._refused(found.expression, "expected null or not null behind is, found")
        return IsNull(self._column(found.this))

    def _column(self, found: exp.Expr) -> str:
        if not _is_column(found):
            raise self._refused(found, "expected the name of a column, found")
        if type(found).__name__ == "Dot":
            return f"{self._column(found.this)}.{found.expression.name}"
        places = ("catalog", "db", "table", "this")
        parts = (found.args.get(place) for place in places)
        return ".".join(part.name for part in parts if part is not None)

    def _value(self, found: exp.Expr) -> Value:
        match type(found).__name__:
            case "Literal" if found.is_string:
                return str(found.this)
            case "Literal":
                return self._number(found, str(found.this))
            case "Neg" if type(found.this).__name__ == "Literal" and not found.this.is_string:
                return -self._number(found.this, str(found.this.this))
            case "Boolean":
                return bool(found.this)
            case "Sub":
                return self._bare_date(found)
            case "Cast":
                return self._moment(found)
            case "Null":
                raise self._refused(found, "nothing equals null: write 'is null' in place of")
        raise self._refused(found, "expected a number, 'text', a date, true or false, found")

    def _number(self, found: exp.Expr, text: str) -> Fraction:
        try:
            number = Decimal(text)
            float(number)
        except (InvalidOperation, ValueError):
            raise self._refused(found, "expected a number, found") from None
        # A huge exponent would make a number that fills the memory.
        if not number.is_finite() or not -400 < number.adjusted() < 308:
            raise self._refused(found, "expected a number below 1e308, found")
        return Fraction(number)

    def _bare_date(self, found: exp.Expr) -> Moment:
        """Return a date without quotes, which sqlglot takes for a difference of numbers."""
        pieces: list[str] = []
        part = found
        while type(part).__name__ == "Sub" and type(part.expression).__name__ == "Literal":
            pieces.append(str(part.expression.this))
            part = part.this
        text = "-".join([str(part.this), *reversed(pieces)])
        moment = parse_moment(text) if _DATE.fullmatch(text) else None
        if moment is None:
            raise self._refused(found, "expected a date such as 2026-01-31, found")
        return moment

    def _moment(self, found: exp.Expr) -> Moment:
        kind, text = str(found.args["to"].this), found.this.name
        is_date = kind.endswith("DATE")
        is_known = is_date or ".TIMESTAMP" in kind or kind.startswith("TIMESTAMP")
        moment = parse_moment(text) if is_known else None
        if moment is None or (is_date and not _DATE.fullmatch(text)):
            example = "date '2026-01-31' or timestamp '2026-01-31 12:00:00'"
            raise self._refused(found, f"expected {example}, found")
        return moment

    def _refused(self, found: exp.Expr, why: str) -> ValueError:
        starts = [one.meta["start"] for one in found.walk() if "start" in one.meta]
        if starts:
            return ValueError(fault(self._text, min(starts), why))
        return ValueError(f"{why} {found.sql()[:60]!r} in {self._text[:200]!r}")


def _is_column(found: exp.Expr) -> bool:
    if type(found).__name__ == "Dot":
        return _is_column(found.this) and type(found.expression).__name__ == "Identifier"
    # A star is a column for sqlglot.
    return type(found).__name__ == "Column" and bool(found.name) and found.name != "*"
