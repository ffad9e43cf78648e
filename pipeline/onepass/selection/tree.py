"""The condition of `where` as a tree of small values, which are pickled to workers.

Comparisons are between a column and a value. As in SQL a condition is true, false or unknown, and a
row is taken if it is true. A null makes a comparison unknown, and so does NaN, which is a missing
number everywhere in onepass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

Operator: TypeAlias = Literal["=", "<>", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or a time."""

    seconds: Fraction
    """Seconds since 1970-01-01T00:00 UTC; a time without a zone is taken as UTC."""
    text: str
    """The moment as it was written."""


Value: TypeAlias = Fraction | str | bool | Moment


@dataclass(frozen=True, slots=True)
class Compare:
    """``column < value`` and the like."""

    column: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class OneOf:
    """``column in (value, ...)``."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """``column like 'pattern'``, where % stands for any text and _ for any character."""

    column: str
    pattern: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """``column is null``; NaN is null."""

    column: str


@dataclass(frozen=True, slots=True)
class And:
    """All parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One part at least."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary of a part."""

    part: Node


Leaf: TypeAlias = Compare | OneOf | Like | IsNull
Node: TypeAlias = Leaf | And | Or | Not


def leaves(node: Node) -> Iterator[Leaf]:
    """Iterate over the comparisons of a condition, from left to right."""
    match node:
        case And() | Or():
            for part in node.parts:
                yield from leaves(part)
        case Not():
            yield from leaves(node.part)
        case _:
            yield node


def columns_of(node: Node) -> list[str]:
    """Return the columns of a condition, each once, in the order of their first use."""
    return list(dict.fromkeys(leaf.column for leaf in leaves(node)))
