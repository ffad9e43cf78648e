"""The columns of a Delta table, and the values that its log holds of partition columns.

References
----------
Delta transaction log protocol, "Schema Serialization Format", "Partition Value Serialization" and
"Column Mapping" (delta-io/delta).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from onepass.lake.view import FIELD_ID, STORED_NAME, TableField
from onepass.text import shown

ColumnMapping: TypeAlias = Literal["none", "name", "id"]
"""How columns are found in the files: by their own name, by a stored name, or by a field id."""

_TYPES = {
    "string": pa.string(),
    "long": pa.int64(),
    "integer": pa.int32(),
    "short": pa.int16(),
    "byte": pa.int8(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
    "void": pa.null(),
}

_DECIMAL = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
_CHARACTERS = re.compile(r"(?:var)?char\(\d+\)")

_MOST_DEPTH = 50
"""Maximum nesting of types."""


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Columns of one version of a table."""

    fields: tuple[TableField, ...]
    """Columns in the table's order, without those of the type variant."""
    partition: dict[str, tuple[str, Callable[[str], Any]]]
    """Name of a partition column in the log, to its name in the table and the parser of its texts.
    """

    def constants(self, texts: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the values of the partition columns of a file, by the name in the table.

        Parameters
        ----------
        texts
            Values as the log has them. An empty one, and one that is not there, is null.

        Raises
        ------
        ValueError
            If a text is no value of the column's type.
        """
        found = {}
        for stored, (name, parse) in self.partition.items():
            text = texts.get(stored)
            try:
                found[name] = parse(text) if text else None
            except (ValueError, LookupError, ArithmeticError, pa.ArrowException):
                raise ValueError(
                    f"the value {shown(text)} of partition column {name!r}, which has another type"
                ) from None
        return found


def table_columns(schema: Any, partition: Any, mode: ColumnMapping) -> TableColumns:
    """Return the columns of a table.

    Parameters
    ----------
    schema, partition
        `schemaString` and `partitionColumns` of the table's metadata.
    mode
        Mode of column mapping.

    Raises
    ------
    ValueError
        If the schema is not one of the protocol, or has a type that is not known.
    """
    try:
        whole = json.loads(schema) if isinstance(schema, str) else None
    except (ValueError, RecursionError):
        whole = None
    if not isinstance(whole, dict) or not isinstance(whole.get("fields"), list):
        raise ValueError("a schema that is not one of the protocol")
    fields = [one for one in map(lambda each: _column(each, mode), whole["fields"]) if one]
    names = [one.name for one, _ in fields]
    if len(set(names)) != len(names):
        raise ValueError("a schema that names a column twice")
    if not isinstance(partition, list):
        raise ValueError("metadata without partitionColumns")
    stored = {one.name: (name, one.type) for one, name in fields}
    unknown = [one for one in partition if not isinstance(one, str) or one not in stored]
    if unknown:
        raise ValueError(f"the partition column {shown(unknown[0])}, which the schema lacks")
    parsers = {stored[one][0]: (one, _parser(stored[one][1])) for one in partition}
    return TableColumns(tuple(one for one, _ in fields), parsers)


def _column(found: Any, mode: ColumnMapping) -> tuple[TableField, str] | None:
    """Return a column and its name in the log; None for one of the type variant."""
    name, dtype, metadata = _parts(found)
    if dtype == "variant":
        return None
    kind = _arrow(dtype, mode, 0)
    if mode == "none":
        return TableField(name, kind, stored=name), name
    stored, number = _mapped(name, metadata)
    if mode == "name":
        return TableField(name, kind, stored=stored), stored
    return TableField(name, kind, id=number), stored


def _parts(found: Any) -> tuple[str, Any, dict[str, Any]]:
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise ValueError("a column without a name in the schema")
    metadata = found.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise ValueError(f"the column {shown(found['name'])}, whose metadata is no object")
    return found["name"], found.get("type"), metadata


def _mapped(name: str, metadata: dict[str, Any]) -> tuple[str, int]:
    stored = metadata.get("delta.columnMapping.physicalName")
    number = metadata.get("delta.columnMapping.id")
    if not isinstance(stored, str) or type(number) is not int or not 0 <= number < 1 << 31:
        raise ValueError(f"the column {shown(name)}, which lacks its physical name or id")
    return stored, number


def _arrow(found: Any, mode: ColumnMapping, depth: int) -> pa.DataType:
    """Return the Arrow type of a type of the schema."""
    if depth > _MOST_DEPTH:
        raise ValueError(f"a schema that is nested more than {_MOST_DEPTH} times")
    if isinstance(found, str):
        return _primitive(found)
    kind = found.get("type") if isinstance(found, dict) else None
    if kind == "struct" and isinstance(found.get("fields"), list):
        return pa.struct([_child(one, mode, depth + 1) for one in found["fields"]])
    if kind == "array":
        return pa.list_(_arrow(found.get("elementType"), mode, depth + 1))
    if kind == "map":
        key, value = (_arrow(found.get(one), mode, depth + 1) for one in ("keyType", "valueType"))
        return pa.map_(key, value)
    raise ValueError(f"the type {shown(found)}, which is not known")


def _primitive(name: str) -> pa.DataType:
    decimal = _DECIMAL.fullmatch(name)
    if decimal and int(decimal[2]) <= int(decimal[1]) <= 38 and int(decimal[1]):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if name == "variant":
        return pa.struct([("metadata", pa.binary()), ("value", pa.binary())])
    if _CHARACTERS.fullmatch(name):
        return pa.string()
    if name not in _TYPES:
        raise ValueError(f"the type {shown(name)}, which is not known")
    return _TYPES[name]


def _child(found: Any, mode: ColumnMapping, depth: int) -> pa.Field:
    name, dtype, metadata = _parts(found)
    kind = _arrow(dtype, mode, depth)
    if mode == "none":
        return pa.field(name, kind)
    stored, number = _mapped(name, metadata)
    if mode == "name":
        return pa.field(name, kind, metadata={STORED_NAME: stored})
    return pa.field(name, kind, metadata={FIELD_ID: str(number)})


def _parser(dtype: pa.DataType) -> Callable[[str], Any]:
    """Return a function that makes a value of a type from its text in the log."""
    if pa.types.is_string(dtype):
        return str
    if pa.types.is_integer(dtype):
        return lambda text: pa.scalar(int(text), dtype).as_py()
    if pa.types.is_floating(dtype):
        return lambda text: pa.scalar(float(text), dtype).as_py()
    if pa.types.is_decimal(dtype):
        return lambda text: pa.scalar(Decimal(text), dtype).as_py()
    if pa.types.is_boolean(dtype):
        return lambda text: {"true": True, "false": False}[text.lower()]
    if pa.types.is_date(dtype):
        return date.fromisoformat
    if pa.types.is_timestamp(dtype):
        return _time if dtype.tz else lambda text: datetime.fromisoformat(text).replace(tzinfo=None)
    if pa.types.is_binary(dtype):
        return str.encode
    raise ValueError(f"a partition column of the type {dtype}")


def _time(text: str) -> datetime:
    # Without a zone it is the time of the writer's system, which nobody knows; most run in UTC.
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
