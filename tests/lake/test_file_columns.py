"""A file's columns have the names, types and values that its table gives them."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass.errors import BadPartition
from onepass.lake.discover import discover
from onepass.lake.footer import is_unchanged, partitions, read_footer
from onepass.lake.read import PartitionReader
from onepass.lake.units import units
from onepass.lake.view import STORED_NAME, TableField, View

N = 1000


class Deleted:
    """Rows that a table has deleted, by a name."""

    def __init__(self, identity):
        self.identity, self.n_rows = identity, 2

    def positions(self):
        return np.array([1, 3])


def rows_of(n=N):
    rng = np.random.default_rng(1)
    inner = pa.StructArray.from_arrays(
        [pa.array(rng.normal(size=n)), pa.array([f"k{i % 7}" for i in range(n)])],
        ["x", "word"],
        mask=pa.array(np.arange(n) % 5 == 0),
    )
    return pa.table(
        {
            "id": pa.array(np.arange(n), pa.int32()),
            "outer": pa.StructArray.from_arrays([inner, pa.array(np.arange(n))], ["inner", "m"]),
            "text": pa.array([f"t{i % 3}" for i in range(n)]),
            "y": np.arange(n) * 0.5,
        }
    )


def written(folder, table=None, **options):
    table = rows_of() if table is None else table
    pq.write_table(table, folder / "a.parquet", **({"row_group_size": 300} | options))
    return discover(str(folder))[0], table


def read(file, names, batch_rows, texts=()):
    """All rows of a file, in units of at most `batch_rows`."""
    footer = pickle.loads(pickle.dumps(read_footer(file)))
    names = list(names)
    reader = PartitionReader(file, footer, names, list(texts), batch_rows, whole_bytes=1 << 20)
    batches = []
    for part in partitions(file, footer):
        for unit in units(part, footer, batch_rows):
            batch = reader.read(unit)
            assert sorted(batch.schema.names) == sorted(names)
            columns = [batch.column(name) for name in names]
            columns = [pa.array(column.to_pylist(), plain(column.type)) for column in columns]
            batches.append(pa.table(columns, names=names))
    return pa.concat_tables(batches)


def plain(dtype):
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


@pytest.mark.parametrize("batch_rows", [64, 300, 5000])
def test_a_struct_is_a_column_for_each_of_its_fields(tmp_path, batch_rows):
    file, table = written(tmp_path)
    footer = read_footer(file)
    fields = ["outer.inner.x", "outer.inner.word", "outer.m"]
    assert footer.schema.names == ["id", *fields, "text", "y"]
    assert footer.chunks.columns == footer.schema.names
    names = ["outer.inner.word", "y", "outer.inner.x", "outer.m"]
    found = read(file, names, batch_rows, texts=["outer.inner.word"])
    expected = table.flatten().flatten().select(names)
    assert found.to_pylist() == expected.to_pylist()
    assert found["outer.inner.x"].null_count == N // 5


def test_a_whole_struct_can_be_read_beside_its_fields(tmp_path):
    file, table = written(tmp_path)
    found = read(file, ["outer", "outer.m", "id"], 128)
    assert found["outer"].to_pylist() == table["outer"].to_pylist()
    assert found["outer.m"].to_pylist() == list(range(N))
    assert read_footer(file).field("outer").type == table.schema.field("outer").type
    assert read_footer(file).field("nowhere") is None


def test_a_struct_stays_whole_where_a_column_has_the_name_of_its_field(tmp_path):
    table = rows_of().append_column("outer.m", pa.array(np.arange(N) * -1))
    file, _ = written(tmp_path, table)
    assert read_footer(file).schema.names == ["id", "outer", "text", "y", "outer.m"]
    assert read(file, ["outer.m"], 300)["outer.m"].to_pylist() == list(-np.arange(N))


def test_a_flat_file_is_read_as_it_is(tmp_path):
    file, table = written(tmp_path, rows_of().drop_columns(["outer"]))
    footer = read_footer(file)
    assert footer.columns is None
    assert footer.schema.names == table.schema.names


INNER = pa.struct([pa.field("X", pa.float64(), metadata={STORED_NAME: b"x"})])
STRUCT = pa.struct(
    [pa.field("deep", INNER, metadata={STORED_NAME: b"inner"}), pa.field("new", pa.int64())]
)
FIELDS = (
    TableField("number", pa.int64(), stored="id"),
    TableField("word", pa.string(), stored="text"),
    TableField("added", pa.float64(), stored="col-9"),
    TableField("since", pa.int32(), stored="col-10", default=7),
    TableField("day", pa.date32()),
    TableField("country", pa.string()),
    TableField("s", STRUCT, stored="outer"),
)
CONSTANTS = {"country": "IS", "day": None}


@pytest.mark.parametrize("batch_rows", [100, 1000])
def test_a_table_renames_widens_and_supplies_columns(tmp_path, batch_rows):
    file, table = written(tmp_path)
    file = replace(file, view=View(FIELDS, CONSTANTS))
    schema = read_footer(file).schema
    names = ["number", "word", "added", "since", "day", "country", "s.deep.X", "s.new"]
    assert schema.names == names
    assert schema.field("number").type == pa.int64()
    found = read(file, schema.names, batch_rows, texts=["word", "country"])
    assert found["number"].to_pylist() == list(range(N))
    assert found["number"].type == pa.int64()
    assert found["word"].to_pylist() == table["text"].to_pylist()
    assert found["s.deep.X"].to_pylist() == table.flatten().flatten()["outer.inner.x"].to_pylist()
    supplied = {"added": None, "s.new": None, "since": 7, "country": "IS", "day": None}
    for name, value in supplied.items():
        assert found[name].to_pylist() == [value] * N
        assert found[name].type == schema.field(name).type
    assert read_footer(file).empty(schema.names) == {"added", "s.new", "day"}


def test_columns_are_found_by_field_id_whatever_their_names_and_order(tmp_path):
    schema = pa.schema(
        [
            pa.field("b", pa.int32(), metadata={"PARQUET:field_id": "2"}),
            pa.field("a", pa.float32(), metadata={"PARQUET:field_id": "1"}),
        ]
    )
    file, _ = written(tmp_path, pa.table([list(range(N)), [0.5] * N], schema=schema))
    fields = (
        TableField("b", pa.float64(), id=1),
        TableField("late", pa.int64(), id=3),
        TableField("a", pa.int64(), id=2),
    )
    found = read(replace(file, view=View(fields)), ["a", "b", "late"], 300)
    assert found.schema.types == [pa.int64(), pa.float64(), pa.int64()]
    assert found.slice(0, 2).to_pylist() == [
        {"a": 0, "b": 0.5, "late": None},
        {"a": 1, "b": 0.5, "late": None},
    ]


def test_a_file_of_which_nothing_is_read_still_has_its_rows(tmp_path):
    file, _ = written(tmp_path)
    file = replace(file, view=View(FIELDS, CONSTANTS))
    assert read(file, ["country", "since"], 256).num_rows == N


def test_a_value_that_does_not_fit_the_type_of_the_table_names_file_and_column(tmp_path):
    file, _ = written(tmp_path)
    view = View((TableField("word", pa.int64(), stored="text"),))
    with pytest.raises(BadPartition) as caught:
        read(replace(file, view=view), ["word"], 100)
    assert (caught.value.path, caught.value.column) == ("a.parquet", "word")


def test_other_deleted_rows_are_another_content(tmp_path):
    file, _ = written(tmp_path)
    one = replace(file, view=View(FIELDS, CONSTANTS, Deleted("one")))
    two = replace(file, view=View(FIELDS, CONSTANTS, Deleted("two")))
    fingerprint = read_footer(one).fingerprint
    assert fingerprint.deleted == "one"
    assert read_footer(file).fingerprint.deleted is None
    assert is_unchanged(one, fingerprint)
    assert not is_unchanged(two, fingerprint)
    assert not is_unchanged(file, fingerprint)
