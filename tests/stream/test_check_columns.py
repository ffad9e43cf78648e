"""ColumnCheck: a file is compared with the columns to read once for each content."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from lakes import number_table, write_files
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.errors import BadPartition
from onepass.lake.discover import discover
from onepass.lake.footer import read_footer
from onepass.stream.check_columns import ColumnCheck

SCHEMA = Schema(
    columns=[Numeric(name="a", center=0.0, scale=1.0, missing=False)],
    label=Label(name="y"),
    weight=None,
    hash_bits=10,
    hive={},
)


@pytest.fixture
def opened(tmp_path):
    """Write a table as the only file of a lake, and open it."""

    def open_one(table):
        write_files(tmp_path, {"a.parquet": table})
        (file,) = discover(str(tmp_path))
        return file, read_footer(file)

    return open_one


def test_content_that_has_passed_is_not_compared_again(opened):
    check = ColumnCheck(SCHEMA, label=True)
    file, footer = opened(number_table(50, seed=0))
    check(file, footer)
    # The same fingerprint, in a footer that would not pass.
    check(file, replace(footer, schema=pa.schema([])))
    file, footer = opened(number_table(60, seed=0))
    with pytest.raises(BadPartition, match="is missing"):
        check(file, replace(footer, schema=pa.schema([])))


def test_content_that_is_refused_is_refused_again(opened):
    check = ColumnCheck(SCHEMA, label=True)
    file, footer = opened(number_table(50, seed=0).drop_columns("y"))
    for _ in range(2):
        with pytest.raises(BadPartition, match="column 'y': the column is missing"):
            check(file, footer)


def test_label_and_further_columns_are_compared_where_they_are_read(opened):
    file, footer = opened(number_table(50, seed=0).drop_columns("y"))
    ColumnCheck(SCHEMA, label=False)(file, footer)
    with pytest.raises(BadPartition, match="column 'no': the column is missing"):
        ColumnCheck(SCHEMA, label=False, keep=["no"])(file, footer)


def test_file_without_rows_passes(opened):
    ColumnCheck(SCHEMA, label=True)(*opened(pa.table({"other": pa.array([], pa.string())})))
