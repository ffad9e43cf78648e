"""Leave out files and row groups in which no row can meet a condition, before they are read.

Folders and the constants of a table's file decide without a look into the file, and statistics of
row groups by its footer. Both are the same in every run as long as the file is the same.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pyarrow as pa

from onepass.lake.bounds import bounds_of
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.view import View
from onepass.partition import Partition
from onepass.selection.bounds import Bounds, may_hold
from onepass.selection.tree import Node, columns_of
from onepass.selection.types import Bare, kind_of, per_second


def may_match(node: Node | None, file: LakeFile) -> bool:
    """Return whether a file may have a row that meets a condition, by path and table alone."""
    return node is None or may_hold(node, _constants(file.view), folders_of(file))


def folders_of(file: LakeFile) -> dict[str, str | None]:
    """Return the key=value folders whose values are columns of a file.

    The folders of a table are columns of the table, so its log tells their values.
    """
    return {} if file.view is not None else dict(file.hive)


def row_groups(
    node: Node | None, file: LakeFile, footer: Footer, partition: Partition | None = None
) -> list[int]:
    """Return the row groups with rows, of which one may meet a condition.

    Parameters
    ----------
    partition
        Where to look; None for the whole file.
    """
    groups = filled_groups(footer, partition)
    if node is None:
        return groups
    folders, constants = folders_of(file), _constants(file.view)
    wanted = [name for name in columns_of(node) if name not in folders and name not in constants]
    columns = {name: bounds_of(footer, name, groups) for name in wanted}
    return [
        group
        for number, group in enumerate(groups)
        if may_hold(node, constants | _known(columns, number), folders)
    ]


def filled_groups(footer: Footer, partition: Partition | None = None) -> list[int]:
    """Return the row groups of a partition, or of the whole file, that have rows."""
    rows = footer.row_group_rows()
    first, end = 0, len(rows)
    if partition is not None:
        first, end = partition.first_row_group, partition.end_row_group
    return [group for group in range(first, end) if rows[group]]


def _known(columns: dict[str, list[Bounds | None]], number: int) -> dict[str, Bounds]:
    found = {name: bounds[number] for name, bounds in columns.items()}
    return {name: one for name, one in found.items() if one is not None}


def _constants(view: View | None) -> dict[str, Bounds]:
    """Return the columns that a table says are the same in all rows of a file."""
    if view is None:
        return {}
    types = {one.name: one.type for one in view.fields}
    return {
        name: _constant(types[name], value)
        for name, value in view.constants.items()
        if name in types
    }


def _constant(dtype: pa.DataType, value: Any) -> Bounds:
    if value is None:
        return Bounds(dtype, may_be_valid=False)
    found = _bare(dtype, value)
    return Bounds(dtype, found, found, may_be_null=kind_of(dtype) == "float")


def _bare(dtype: pa.DataType, value: Any) -> Bare | None:
    """Return a Python value in the terms of its column; None if that is not certain."""
    scalar = pa.scalar(value, dtype)
    match kind_of(dtype):
        case "integer":
            return Fraction(int(scalar.as_py()))
        case "text":
            return str(scalar.as_py()).encode()
        case "bool":
            return bool(scalar.as_py())
        case "moment":
            number = int(scalar.value)
            return Fraction(number) / per_second(dtype)
    return None
