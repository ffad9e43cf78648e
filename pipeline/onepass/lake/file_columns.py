"""The columns of a file under the names and types by which everybody else knows them.

A struct is one column for each of its fields, named with dots. The file of a table has the columns
of the table (`onepass.lake.view`): some are renamed or widened, and some are not in the file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.lake.view import FIELD_ID, NAMES, STORED_NAME, TableField, View


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column that is read from the file."""

    name: str
    type: pa.DataType
    """Type that its values are given."""
    place: tuple[str, ...]
    """Names in the file, from the outermost struct to the column."""
    stored_type: pa.DataType
    """Type in the file."""

    @property
    def path(self) -> str:
        """Path of the column in the Parquet schema; of its leaves if it is nested."""
        return ".".join(self.place)


@dataclass(frozen=True, slots=True)
class FileColumns:
    """The columns of a file that does not name and type all of them itself."""

    stored: dict[str, FileColumn]
    """Columns that are read from the file, by name."""
    supplied: dict[str, pa.Scalar]
    """Columns that are the same in all rows and not read from the file, by name."""
    of_table: bool = False
    """Whether a table names them."""

    @property
    def absent(self) -> set[str]:
        """Columns that are null in all rows, because neither file nor table has a value."""
        return {name for name, value in self.supplied.items() if not value.is_valid}

    def paths(self, names: Iterable[str]) -> list[str]:
        """Return the paths in the file of columns that are read from it, or of whole structs."""
        return [self.stored[name].path if name in self.stored else name for name in names]

    def shown(self, rows: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
        """Return columns of decoded rows under their names and in their types.

        Raises
        ------
        pa.ArrowException
            If a value does not fit the type.
        """
        columns = [
            _shown(rows, self.stored[name]) if name in self.stored else rows.column(name)
            for name in names
        ]
        return pa.RecordBatch.from_arrays(columns, names=names)

    def completed(self, rows: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
        """Return rows with the supplied columns among `names` as well, in the order of `names`."""
        columns = [
            _repeated(self.supplied[name], rows.num_rows)
            if name in self.supplied
            else rows.column(name)
            for name in names
        ]
        return pa.RecordBatch.from_arrays(columns, names=names)


def resolved(found: pa.Schema, view: View | None) -> tuple[pa.Schema, FileColumns | None]:
    """Return the columns of a file as everybody else knows them, and where they come from.

    Parameters
    ----------
    found
        Schema of the file.

    Returns
    -------
    schema
        Names and types; the schema of the file itself if it has no struct and no view.
    columns
        None if every column is read from the file as it is.
    """
    if view is not None:
        return _of_table(found, view)
    if not any(pa.types.is_struct(field.type) for field in found):
        return found, None
    columns = list(_flattened(found))
    stored = {column.name: column for column in columns}
    return pa.schema([(one.name, one.type) for one in columns]), FileColumns(stored, {})


def columns_of_leaves(paths: list[str], found: pa.Schema, columns: FileColumns | None) -> list[str]:
    """Return the column that each leaf of the Parquet schema belongs to.

    A leaf without a column has its path; or no name, if another column has that name. So a column
    that a table has dropped is not taken for a new one of the same name.

    Parameters
    ----------
    paths
        Paths of the leaves.
    found
        Schema of the file.
    """
    if columns is None:
        names, taken = {name: name for name in found.names}, set[str]()
    else:
        names = {column.path: name for name, column in columns.stored.items()}
        taken = columns.stored.keys() | columns.supplied.keys()
    return [
        next((names[at] for at in _upwards(path) if at in names), "" if path in taken else path)
        for path in paths
    ]


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition(".")[0]


def _flattened(found: pa.Schema) -> Iterator[FileColumn]:
    """Yield the columns of a plain file, a struct as one column for each of its fields."""
    taken = Counter(found.names)
    for field in found:
        leaves = list(_leaves(field.name, field.type, (field.name,)))
        if any(taken[one.name] for one in leaves if one.name != field.name):
            # A name with a dot is taken: the struct stays what it is, and cannot be a feature.
            leaves = [FileColumn(field.name, field.type, (field.name,), field.type)]
        yield from leaves


def _leaves(name: str, dtype: pa.DataType, place: tuple[str, ...]) -> Iterator[FileColumn]:
    if not pa.types.is_struct(dtype) or not dtype.num_fields:
        yield FileColumn(name, dtype, place, dtype)
        return
    for child in dtype:
        yield from _leaves(f"{name}.{child.name}", child.type, (*place, child.name))


def _of_table(found: pa.Schema, view: View) -> tuple[pa.Schema, FileColumns]:
    by_id = {at: field for field in found if (at := _id_of(field)) is not None}
    by_name = {field.name: field for field in found}
    stored: dict[str, FileColumn] = {}
    supplied: dict[str, pa.Scalar] = {}
    if found.names and not by_id and not any(one.stored or one.names for one in view.fields):
        raise ValueError(
            "its columns have no field ids, and the table has no name mapping to find them by name"
        )
    for one in view.fields:
        at = _field(one, by_name, by_id)
        # Where columns have ids, a partition column may also be in the file, which then counts.
        if one.name in view.constants and (at is None or one.id is None):
            supplied[one.name] = _scalar(view.constants[one.name], one.type)
            continue
        for name, dtype, column in _matched(one, at):
            if column is None:
                supplied[name] = _scalar(one.default if name == one.name else None, dtype)
            else:
                stored[name] = column
    types = {name: column.type for name, column in stored.items()}
    types |= {name: value.type for name, value in supplied.items()}
    order = [name for one in view.fields for name in _names_of(one.name, one.type)]
    return pa.schema([(name, types[name]) for name in order]), FileColumns(stored, supplied, True)


def _field(
    one: TableField, by_name: dict[str, pa.Field], by_id: dict[int, pa.Field]
) -> pa.Field | None:
    """Find a column of a table in a file."""
    if one.stored is not None:
        return by_name.get(one.stored)
    if by_id and one.id is not None:
        return by_id.get(one.id)
    return next((by_name[name] for name in one.names if name in by_name), None)


def table_names(view: View) -> set[str]:
    """Return the names of all columns of a table, a struct as one for each of its fields."""
    return {name for one in view.fields for name in _names_of(one.name, one.type)}


def _names_of(name: str, dtype: pa.DataType) -> Iterator[str]:
    return (leaf.name for leaf in _leaves(name, dtype, ()))


def _matched(
    one: TableField, found: pa.Field | None
) -> Iterator[tuple[str, pa.DataType, FileColumn | None]]:
    """Yield name, type and place in the file of a column of a table, or of each of its fields."""
    place = None if found is None else (found.name,)
    yield from _matched_below(one.name, one.type, found, place)


def _matched_below(
    name: str, dtype: pa.DataType, found: pa.Field | None, place: tuple[str, ...] | None
) -> Iterator[tuple[str, pa.DataType, FileColumn | None]]:
    if not pa.types.is_struct(dtype) or not dtype.num_fields:
        column = None
        if found is not None and place is not None:
            column = FileColumn(name, dtype, place, found.type)
        yield name, dtype, column
        return
    for child in dtype:
        below = None if found is None else _child(child, found.type)
        at = None if below is None or place is None else (*place, below.name)
        yield from _matched_below(f"{name}.{child.name}", child.type, below, at)


def _child(wanted: pa.Field, found: pa.DataType) -> pa.Field | None:
    """Find a field of a table's struct in the struct of the file."""
    if not pa.types.is_struct(found):
        return None
    known = wanted.metadata or {}
    number, names = _id_of(wanted), [known.get(STORED_NAME, wanted.name.encode()).decode()]
    if STORED_NAME not in known and number is not None:
        by_id = {_id_of(field): field for field in found}
        if by_id.keys() - {None}:
            return by_id.get(number)
        names = json.loads(known.get(NAMES, b"[]"))
    name = next((one for one in names if found.get_field_index(one) >= 0), "")
    place = found.get_field_index(name)
    return found.field(place) if place >= 0 else None


def _id_of(field: pa.Field) -> int | None:
    number = (field.metadata or {}).get(FIELD_ID)
    return None if number is None else int(number)


def _scalar(value: Any, dtype: pa.DataType) -> pa.Scalar:
    return pa.scalar(value, dtype)


def _repeated(value: pa.Scalar, n_rows: int) -> pa.Array:
    if not value.is_valid:
        return pa.nulls(n_rows, value.type)
    if pa.types.is_string(value.type):
        # One text of which every row has the code.
        codes = pa.array(np.zeros(n_rows, np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array([value.as_py()], value.type))
    return pa.repeat(value, n_rows)


def _shown(rows: pa.RecordBatch, column: FileColumn) -> pa.Array:
    values = rows.column(column.place[0])
    for name in column.place[1:]:
        values = pc.struct_field(values, name)
    return _converted(values, column.type)


def _converted(values: pa.Array, dtype: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(values.type) and not pa.types.is_dictionary(dtype):
        distinct = _converted(values.dictionary, dtype)
        return pa.DictionaryArray.from_arrays(values.indices, distinct)
    if values.type.equals(dtype) or (_is_text(values.type) and _is_text(dtype)):
        return values
    # A table may keep microseconds where the file has nanoseconds.
    return values.cast(dtype, safe=not pa.types.is_timestamp(dtype))


def _is_text(dtype: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(dtype)
        or pa.types.is_large_string(dtype)
        or pa.types.is_string_view(dtype)
    )
