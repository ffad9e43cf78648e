"""Iceberg tables: their files, columns and constants, as pyiceberg's own scan has them."""

from __future__ import annotations

import datetime as dt
import json
import pickle
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import EqualTo
from pyiceberg.manifest import FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
)

from iceberg_tables import (
    add_file,
    catalogue,
    data_uris,
    in_order,
    local,
    opened,
    read,
    rows,
    scanned,
)
from onepass.errors import DataError, JobError
from onepass.lake.footer import read_footer


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A catalogue, in which each test makes a table of its own."""
    with catalogue(tmp_path_factory.mktemp("iceberg")) as found:
        yield found


def made(tables, name, schema, **options):
    return tables.create_table(f"db.{name}", schema=schema, **options)


def rows_of(table):
    """Rows as pyiceberg reads them, after a check that onepass reads the same."""
    expected = scanned(table)
    assert in_order(read(opened(table).files())) == expected
    return expected


def test_the_files_of_the_newest_snapshot_are_the_rows_of_the_table(tables):
    table = made(tables, "plain", rows(0, 1).schema)
    assert opened(table).files() == []
    assert opened(table).label == "no snapshot"
    table.append(rows(0, 20))
    table.append(rows(20, 20))
    table.delete("id < 5")
    table.overwrite(rows(100, 3), overwrite_filter="id >= 30")
    changed = rows(101, 4).set_column(1, "x", pa.array([0.5] * 4))
    table.upsert(changed, join_cols=["id"])
    assert [row["id"] for row in rows_of(table)] == [*range(5, 30), *range(100, 105)]
    files = opened(table).files()
    assert [file.key for file in files] == sorted(
        uri.removeprefix(f"{table.location()}/") for uri in data_uris(table)
    )
    assert pickle.loads(pickle.dumps(files)) == files


def test_a_pinned_snapshot_has_the_files_and_the_columns_of_its_time(tables):
    table = made(tables, "pinned", rows(0, 1).schema)
    table.append(rows(0, 5))
    old = table.current_snapshot()
    with table.update_schema() as update:
        update.rename_column("x", "y")
    table.overwrite(rows(7, 1).rename_columns(["id", "y", "c"]))
    pinned = opened(table, version=old.snapshot_id)
    assert read(pinned.files()) == rows(0, 5).to_pylist()
    moment = dt.datetime.fromtimestamp(old.timestamp_ms / 1000, dt.UTC).isoformat()
    assert opened(table, timestamp=moment).version == old.snapshot_id
    with pytest.raises(JobError, match=r"--lake-timestamp 2001-01-01: .* had no snapshot"):
        opened(table, timestamp="2001-01-01")
    with pytest.raises(JobError, match=r"--lake-version 5: .* does not have this snapshot"):
        opened(table, version=5)
    with pytest.raises(JobError, match="expects a time such as"):
        opened(table, timestamp="yesterday")


def test_columns_are_found_by_id_through_renames_drops_orders_and_promotions(tables):
    schema = pa.schema(
        [("id", pa.int32()), ("x", pa.float32()), ("c", pa.string()), ("gone", pa.int64())]
    )
    table = made(tables, "evolved", schema)
    first = pa.table({"id": [1, 2], "x": [0.5, 1.5], "c": ["a", None], "gone": [7, 8]})
    table.append(first.cast(schema))
    with table.update_schema() as update:
        update.rename_column("c", "city")
        update.update_column("id", LongType())
        update.update_column("x", DoubleType())
        update.delete_column("gone")
    with table.update_schema() as update:
        update.add_column("gone", StringType())
        update.add_column("c", IntegerType())
        update.move_first("city")
    second = pa.table(
        {"city": ["z"], "id": [3], "x": [0.1], "gone": ["new"], "c": pa.array([4], pa.int32())}
    )
    table.append(second)
    found = rows_of(table)
    assert found[0] == {"city": "a", "id": 1, "x": 0.5, "gone": None, "c": None}
    assert found[2] == {"city": "z", "id": 3, "x": 0.1, "gone": "new", "c": 4}
    for file in opened(table).files():
        assert read_footer(file).schema.field("id").type == pa.int64()


def test_fields_of_structs_are_columns_found_by_id(tables):
    inner = StructType(
        NestedField(4, "a", FloatType(), required=False),
        NestedField(5, "b", StringType(), required=False),
    )
    schema = Schema(
        NestedField(1, "id", LongType(), required=False), NestedField(2, "s", inner, required=False)
    )
    table = made(tables, "nested", schema)
    arrow = table.schema().as_arrow()
    table.append(pa.Table.from_pylist([{"id": 1, "s": {"a": 0.5, "b": "x"}}], schema=arrow))
    with table.update_schema() as update:
        update.rename_column(("s", "a"), "b2")
    with table.update_schema() as update:
        update.add_column(("s", "a"), StringType())
    found = read(opened(table).files())
    assert found == [{"id": 1, "s.b2": 0.5, "s.b": "x", "s.a": None}]


def test_hidden_partitions_are_no_columns_and_identity_values_fill_only_missing_ones(tables):
    schema = Schema(
        NestedField(1, "id", LongType(), required=False),
        NestedField(2, "c", StringType(), required=False),
        NestedField(3, "t", TimestampType(), required=False),
        NestedField(4, "k", IntegerType(), required=False),
    )
    spec = PartitionSpec(
        PartitionField(2, 1000, TruncateTransform(1), "c_trunc"),
        PartitionField(3, 1001, DayTransform(), "t_day"),
        PartitionField(1, 1002, BucketTransform(4), "id_bucket"),
        PartitionField(4, 1003, IdentityTransform(), "k"),
    )
    table = made(tables, "hidden", schema, partition_spec=spec)
    moment = dt.datetime(2026, 1, 1, 5)
    first = pa.table({"id": [0, 1], "c": ["a0", "a1"], "t": [moment] * 2, "k": [3, 3]})
    # pyiceberg writes no hidden partitions without its extra package in Rust.
    add_file(table, first, Record("a", 20454, 2, 3))
    second = pa.table({"id": [2], "c": ["b0"], "t": [moment], "k": pa.nulls(1)})
    add_file(table, second, Record("b", 20454, 0, None))
    with table.update_spec() as update:
        for name in ("c_trunc", "t_day", "id_bucket"):
            update.remove_field(name)
        update.add_identity("c")
    last = {"id": [50], "c": ["q q/=%41"], "t": [moment], "k": pa.array([4], pa.int32())}
    table.append(pa.table(last))
    assert len(rows_of(table)) == 4
    files = opened(table).files()
    assert all(file.hive == () for file in files)
    assert {tuple(file.view.constants) for file in files} == {("k",), ("k", "c")}
    # A value in the file counts.
    found = pq.read_table(files[0].location, partitioning=None)
    other = pa.array([9] * len(found), pa.int32())
    changed = found.set_column(3, found.schema.field("k"), other)
    pq.write_table(changed, files[0].location)
    assert {row["k"] for row in read(files[:1])} == {9}
    # A file that was taken over from Hive lacks the column.
    for file in files:
        found = pq.read_table(file.location, partitioning=None)
        pq.write_table(found.drop(["k"]), file.location)
    assert [(row["id"], row["k"]) for row in in_order(read(files))] == [
        (0, 3), (1, 3), (2, None), (50, 4)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.date32(), [dt.date(1969, 12, 31), dt.date(2026, 1, 1)]),
        (pa.timestamp("us"), [dt.datetime(1969, 12, 31, 23, 59, 59, 5), dt.datetime(2026, 1, 1)]),
        (pa.timestamp("us", "UTC"), [dt.datetime(2026, 1, 1, 5, tzinfo=dt.UTC)]),
        (pa.time64("us"), [dt.time(13, 5, 7, 9)]),
        (pa.decimal128(9, 2), [Decimal("-3.25"), Decimal("10.00")]),
        (pa.binary(), [b"\x00\xff"]),
        (pa.bool_(), [True, False]),
        (pa.int64(), [-(2**40)]),
        (pa.float64(), [0.1]),
    ],
)
def test_identity_values_of_every_type_are_those_of_the_rows(tables, kind, values):
    name = "typed_" + "".join(letter for letter in str(kind) if letter.isalnum())
    schema = pa.schema([("id", pa.int64()), ("k", kind)])
    table = made(tables, name, schema)
    with table.update_spec() as update:
        update.add_identity("k")
    table.append(pa.table({"id": range(len(values)), "k": values}, schema=schema))
    for file in opened(table).files():
        rows_in = pq.read_table(file.location, partitioning=None)["k"].to_pylist()
        assert [file.view.constants["k"]] == rows_in
        assert pa.scalar(file.view.constants["k"], file.view.fields[1].type).as_py() == rows_in[0]


def test_files_without_ids_are_read_by_the_name_mapping_or_refused(tables, tmp_path):
    table = made(tables, "mapped", rows(0, 1).schema)
    pq.write_table(rows(0, 5), tmp_path / "foreign.parquet")
    table.add_files([f"file://{tmp_path}/foreign.parquet"])
    with table.update_schema() as update:
        update.rename_column("x", "y")
    assert rows_of(table)[4] == {"id": 4, "y": 1.0, "c": "t4"}
    assert opened(table).files()[0].key == f"{tmp_path}/foreign.parquet"
    with table.transaction() as change:
        change.remove_properties("schema.name-mapping.default")
    with pytest.raises(DataError, match="no field ids, and the table has no name mapping"):
        read(opened(table).files())


def test_a_default_of_version_3_fills_files_that_lack_the_column(tables, tmp_path):
    table = made(tables, "defaults", rows(0, 1).schema)
    table.append(rows(0, 3))
    metadata = json.loads(local(table.metadata_location).read_text())
    metadata |= {"format-version": 3, "next-row-id": 0}
    fields = metadata["schemas"][0]["fields"]
    for at, (kind, value) in enumerate([("double", 2.5), ("date", "2026-01-31"), ("int", 4)], 50):
        fields.append({"id": at, "name": f"d{at}", "required": False, "type": kind,
                       "initial-default": value, "write-default": value})  # fmt: skip
    path = tmp_path / "v3.metadata.json"
    path.write_text(json.dumps(metadata))
    found = read(opened(str(path)).files())
    assert found == in_order(StaticTable.from_metadata(str(path)).scan().to_arrow().to_pylist())
    assert found[0]["d51"] == dt.date(2026, 1, 31)


def test_other_files_than_parquet_are_refused_by_name(tables, monkeypatch):
    table = made(tables, "orc", rows(0, 1).schema)
    table.append(rows(0, 3))
    task = next(iter(table.scan().plan_files())).file
    with table.transaction() as change, change.update_snapshot().overwrite() as update:
        task._data[2] = FileFormat.ORC
        update.append_data_file(task)
    with pytest.raises(DataError, match=r"data/.* is in ORC; onepass reads Parquet only"):
        opened(table).files()


def test_rows_of_a_filtered_delete_are_gone(tables):
    table = made(tables, "filtered", rows(0, 1).schema)
    table.append(rows(0, 30))
    table.delete(EqualTo("c", "t3"))
    assert {row["c"] for row in rows_of(table)} == {f"t{i}" for i in (0, 1, 2, 4, 5, 6)}
