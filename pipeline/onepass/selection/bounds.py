"""Tell from the bounds of columns whether a row may meet a condition at all.

For each comparison the bounds say whether it may be true, and whether it may be false. Both are
overestimates: a row group is left out only if it is proven that no row of it meets the condition.
The proof decides which row groups make a block, and so the bytes of a model. A change of its rules
must not change what older models learn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from onepass.selection.folders import folder_holds
from onepass.selection.tree import And, Compare, IsNull, Leaf, Like, Node, Not, OneOf, Or
from onepass.selection.types import Bare, CannotCompare, bare


@dataclass(frozen=True, slots=True)
class Bounds:
    """Facts about the values of a column in some rows."""

    type: pa.DataType
    """Arrow type as which the column is read."""
    least: Bare | None = None
    """No value is less; None if unknown."""
    greatest: Bare | None = None
    """No value is greater; None if unknown."""
    may_be_null: bool = True
    """Whether a value may be null or NaN."""
    may_be_valid: bool = True
    """Whether a value may be neither."""


class May(NamedTuple):
    """Outcomes that a condition may have."""

    true: bool
    false: bool


_ANY = May(True, True)


def may_hold(
    node: Node, bounds: Mapping[str, Bounds], folders: Mapping[str, str | None] | None = None
) -> bool:
    """Return whether a row may meet a condition.

    Parameters
    ----------
    bounds
        Bounds of columns; nothing is known of others.
    folders
        Values of the key=value folders that the file lies in.
    """
    return _may(node, bounds, folders or {}).true


def _may(node: Node, bounds: Mapping[str, Bounds], folders: Mapping[str, str | None]) -> May:
    match node:
        case And():
            parts = [_may(one, bounds, folders) for one in node.parts]
            return May(all(one.true for one in parts), any(one.false for one in parts))
        case Or():
            parts = [_may(one, bounds, folders) for one in node.parts]
            return May(any(one.true for one in parts), all(one.false for one in parts))
        case Not():
            part = _may(node.part, bounds, folders)
            return May(part.false, part.true)
    try:
        if node.column in folders:
            found = folder_holds(node, folders[node.column])
            return May(found is True, found is False)
        known = bounds.get(node.column)
        return _ANY if known is None else _of_leaf(node, known)
    except CannotCompare:
        # The file is refused with this error once it is read.
        return _ANY


def _of_leaf(node: Leaf, known: Bounds) -> May:
    if isinstance(node, IsNull):
        return May(known.may_be_null, known.may_be_valid)
    if not known.may_be_valid:
        return May(False, False)
    if isinstance(node, Like):
        return May(_may_begin(node.pattern, known), True)
    if isinstance(node, OneOf):
        each = [_equal(bare(one, known.type, node.column), known) for one in node.values]
        return May(any(one.true for one in each), all(one.false for one in each))
    return _compare(node, bare(node.value, known.type, node.column), known)


def _compare(node: Compare, wanted: Bare, known: Bounds) -> May:
    match node.operator:
        case "=":
            return _equal(wanted, known)
        case "<>":
            return May(*reversed(_equal(wanted, known)))
        case "<":
            return May(_some_below(wanted, known), _some_above(wanted, known, or_equal=True))
        case ">=":
            return May(_some_above(wanted, known, or_equal=True), _some_below(wanted, known))
        case ">":
            return May(_some_above(wanted, known), _some_below(wanted, known, or_equal=True))
        case "<=":
            return May(_some_below(wanted, known, or_equal=True), _some_above(wanted, known))


def _equal(wanted: Bare, known: Bounds) -> May:
    may = _some_below(wanted, known, or_equal=True) and _some_above(wanted, known, or_equal=True)
    # Bounds may lie beyond the values, but equal bounds leave one value only.
    return May(may, not (known.least is not None and known.least == known.greatest == wanted))


def _some_below(wanted: Bare, known: Bounds, *, or_equal: bool = False) -> bool:
    """Return whether a value may be less than another one."""
    least = known.least
    if least is None:
        return True
    return bool(least <= wanted if or_equal else least < wanted)  # type: ignore[operator]


def _some_above(wanted: Bare, known: Bounds, *, or_equal: bool = False) -> bool:
    greatest = known.greatest
    if greatest is None:
        return True
    return bool(greatest >= wanted if or_equal else greatest > wanted)  # type: ignore[operator]


def _may_begin(pattern: str, known: Bounds) -> bool:
    """Return whether a text within bounds may begin as a pattern does."""
    prefix = re.split("[%_]", pattern, maxsplit=1)[0].encode()
    least, greatest = known.least, known.greatest
    if isinstance(least, bytes) and least[: len(prefix)] > prefix:
        return False
    return not (isinstance(greatest, bytes) and greatest < prefix)
