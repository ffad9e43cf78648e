"""The columns of an Iceberg table: their names, Arrow types, field ids and constant values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyarrow as pa
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.name_mapping import MappedField, NameMapping
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    DecimalType,
    FixedType,
    IcebergType,
    ListType,
    MapType,
    NestedField,
    StructType,
)

from onepass.lake.view import FIELD_ID, NAMES, TableField

_EPOCH = datetime(1970, 1, 1)

_TYPES: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamp_ns": pa.timestamp("ns"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "timestamptz_ns": pa.timestamp("ns", tz="UTC"),
    "string": pa.string(),
    "uuid": pa.binary(16),
    "unknown": pa.null(),
}
"""Arrow types as the Parquet reader gives them; all others are read as binary."""


def table_fields(schema: Schema, mapping: NameMapping | None) -> tuple[TableField, ...]:
    """Return the columns of a table, found by field id, and by name in files without ids.

    Parameters
    ----------
    schema
        Schema of the version that is read.
    mapping
        Names of columns in files without field ids, by the property `schema.name-mapping.default`.
    """
    names = _names_by_id(() if mapping is None else mapping)
    return tuple(
        TableField(
            name=field.name,
            type=_arrow_type(field.field_type, names),
            id=field.field_id,
            names=names.get(field.field_id, ()),
            default=_plain(field.initial_default, field.field_type),
        )
        for field in schema.fields
    )


def identity_constants(
    spec: PartitionSpec, schema: Schema, partition: tuple[Any, ...]
) -> dict[str, Any]:
    """Return the values of the columns by which the rows of a file were partitioned as they are.

    A file that was taken over from a Hive table does not hold these columns.

    Parameters
    ----------
    spec, partition
        Partition spec of the file, and its values.
    """
    names = {field.field_id: field for field in schema.fields}
    return {
        names[field.source_id].name: _plain(value, names[field.source_id].field_type)
        for field, value in zip(spec.fields, partition, strict=False)
        if isinstance(field.transform, IdentityTransform) and field.source_id in names
    }


def _names_by_id(mapping: Iterable[MappedField]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for one in mapping:
        if one.field_id is not None:
            found[one.field_id] = tuple(one.names)
        found |= _names_by_id(one.fields)
    return found


def _arrow_type(found: IcebergType, names: dict[int, tuple[str, ...]]) -> pa.DataType:
    if isinstance(found, StructType):
        return pa.struct([_arrow_field(field, names) for field in found.fields])
    if isinstance(found, ListType):
        return pa.list_(_arrow_field(found.element_field, names))
    if isinstance(found, MapType):
        return pa.map_(
            _arrow_field(found.key_field, names).with_nullable(False),
            _arrow_field(found.value_field, names),
        )
    if isinstance(found, DecimalType):
        return pa.decimal128(found.precision, found.scale)
    if isinstance(found, FixedType):
        return pa.binary(len(found))
    return _TYPES.get(str(found), pa.binary())


def _arrow_field(field: NestedField, names: dict[int, tuple[str, ...]]) -> pa.Field:
    metadata = {FIELD_ID: str(field.field_id).encode()}
    if field.field_id in names:
        metadata[NAMES] = json.dumps(names[field.field_id]).encode()
    return pa.field(field.name, _arrow_type(field.field_type, names), metadata=metadata)


def _plain(value: Any, dtype: IcebergType) -> Any:
    """Return a value as pyarrow gives it to Python.

    Manifests hold dates as days and times as microseconds; metadata holds them as objects already.
    """
    name = str(dtype)
    if isinstance(value, UUID):
        return value.bytes
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if name == "date":
        return (_EPOCH + timedelta(days=value)).date()
    if name == "time":
        return (_EPOCH + timedelta(microseconds=value)).time()
    if name == "timestamp":
        return _EPOCH + timedelta(microseconds=value)
    if name == "timestamptz":
        return _EPOCH.replace(tzinfo=UTC) + timedelta(microseconds=value)
    # pyarrow takes a whole number for a time in nanoseconds, which Python has no type for.
    return float(value) if name in {"float", "double"} else value
