"""The Arrow types that each use of a column can be read from without a change of meaning."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from onepass.encode.nested_kinds import Bag, HashedBag, Pairs, Vector, WeightMap
from onepass.encode.scalar_kinds import Bool, Hashed, Numeric, OneHot, Time
from onepass.encode.schema import Column, Label, Schema, family


@dataclass(frozen=True, slots=True)
class Reads:
    """Families of types that can be read for one use of a column without a change of meaning."""

    families: tuple[str, ...]
    text: str
    """The families in words."""


READS = {
    "number": Reads(("integer", "real"), "a number (integer, float or decimal of any width)"),
    "number in text": Reads(
        ("text", "integer", "real"), "a number of any type, or text that holds one"
    ),
    "truth value": Reads(("bool",), "a bool"),
    "time": Reads(("time",), "a date or a timestamp"),
    "time in text": Reads(
        ("text", "time"), "a date, a timestamp, or text that holds one by ISO 8601"
    ),
    "time in a format": Reads(
        ("text", "time", "integer", "real"), "a date, a timestamp, or text or numbers that hold one"
    ),
    "time of day": Reads(("clock",), "a time of day"),
    "time of day in text": Reads(("text", "clock"), "a time of day, or text that holds one"),
    "duration": Reads(("duration",), "a duration"),
    "integer category": Reads(("integer",), "an integer of any width"),
    "whole-number category": Reads(
        ("integer", "real"), "an integer of any width, or a float or decimal that holds one"
    ),
    "category of any type": Reads(
        ("text", "integer", "real"), "text, an integer, or a float or decimal that holds one"
    ),
    "text category": Reads(("text",), "text (string, large_string, string_view)"),
    "bool category": Reads(("bool",), "a bool"),
    "vector": Reads(
        ("integers", "reals", "nulls"), "lists of numbers, of any width and type of list"
    ),
    "bag of integers": Reads(("integers", "nulls"), "lists of integers, of any width"),
    "bag of texts": Reads(("texts", "nulls"), "lists of text"),
    "bag of entries": Reads(("entries",), "maps from text or integers to text"),
    "weights by key": Reads(("weights",), "maps from text or integers to numbers"),
    "list of indices": Reads(("integers", "texts", "nulls"), "lists of integers or text"),
    "list of numbers": Reads(("integers", "reals", "nulls"), "lists of numbers"),
    "label of numbers": Reads(("integer", "real", "bool"), "a number or a bool"),
    "label of text": Reads(("text",), "text"),
    "weight": Reads(("integer", "real", "bool"), "a number or a bool"),
    "offset": Reads(("integer", "real"), "a number"),
    "exposure": Reads(("integer", "real"), "a number"),
    "cluster": Reads(("text", "integer", "bool"), "text, an integer or a bool"),
}
"""Arrow types that each use of a column accepts; any other type raises.

The files of a lake may differ within a use, and each type may be that of a dictionary's values. A
column without a value is accepted whatever its type, except one that says how a row counts, such as
its weight.
"""


def uses(schema: Schema, *, label: bool) -> list[tuple[str, str]]:
    """Return the name and the use, a key of `READS`, of each column read from the files.

    Parameters
    ----------
    label
        Whether label, weight, cluster and the column of folds are read as well.
    """
    found = [one for source in schema.sources() for one in uses_of(source)]
    found = list(dict.fromkeys(found))
    roles = [(schema.offset, "offset"), (schema.exposure, "exposure")]
    if label:
        found.append((schema.label.name, label_use(schema.label)))
        roles += [(schema.weight, "weight"), (schema.cluster, "cluster")]
        # A column may tell both clusters and folds, which are read in the same way.
        roles += [(schema.fold_by, "cluster")] if schema.fold_by != schema.cluster else []
    found += [(name, use) for name, use in roles if name]
    return [(name, use) for name, use in found if name not in schema.hive]


def uses_of(column: Column) -> list[tuple[str, str]]:
    """Return the names of the columns that are read for a column, each with its use."""
    if isinstance(column, Pairs):
        return [(column.index, "list of indices"), (column.value, "list of numbers")]
    return [(column.name, use_of(column))]


def use_of(column: Column) -> str:
    """Return the use of a column, a key of `READS`; that of the numbers, for pairs."""
    match column:
        case Vector():
            return "vector"
        case Bag() | HashedBag():
            return f"bag of {column.family}"
        case WeightMap():
            return "weights by key"
        case Pairs():
            return "list of numbers"
        case Numeric():
            if column.duration:
                return "duration"
            return "number in text" if column.text else "number"
        case Bool():
            return "truth value"
        case Time():
            return _use_of_time(column)
        case OneHot() | Hashed():
            if column.text:
                return "category of any type"
            return "whole-number category" if column.whole else f"{column.family} category"
        case _:
            raise ValueError(f"{column.name!r} is made of columns that have uses of their own")


def _use_of_time(column: Time) -> str:
    if column.clock:
        return "time of day in text" if column.text else "time of day"
    if column.format is not None:
        return "time in a format"
    return "time in text" if column.text else "time"


def label_use(label: Label) -> str:
    """Return the use of a label, a key of `READS`."""
    return "label of text" if label.family == "text" else "label of numbers"


def is_readable(use: str, dtype: pa.DataType) -> bool:
    """Whether a use accepts a type; every use accepts the type null."""
    found = family(dtype)
    return found == "null" or found in READS[use].families
