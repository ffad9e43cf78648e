"""A table of Spark's Parquet files and folders is read row for row, now and in years to come."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.lake.tables.delta import open_table
from onepass.lake.tables.table import TableChoice
from table_rows import counted_rows, rows_of

GOLDEN = Path(__file__).parent / "golden" / "delta-spark"

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "price": pa.float64(),
        "word": pa.string(),
        "at": pa.timestamp("us", "UTC"),
        "late": pa.bool_(),
    }
)


def expected() -> Counter[str]:
    """Rows that were given to Spark, without the one that was deleted later."""
    rows = [json.loads(line) for line in (GOLDEN / "rows.json").read_text().splitlines()]
    for one in rows:
        one["at"] = datetime.fromisoformat(one["at"]) if "at" in one else None
    return counted_rows(pa.Table.from_pylist(rows, SCHEMA))


def test_the_rows_are_those_that_spark_was_given():
    files = open_table(str(GOLDEN), TableChoice()).files()
    assert sum(expected().values()) == 74
    assert rows_of(files) == expected()


def test_the_files_alone_would_give_other_rows():
    rows = sum(pq.read_metadata(path).num_rows for path in GOLDEN.rglob("word=*/*.parquet"))
    assert rows == 75


def test_version_0_has_the_names_types_and_rows_of_before():
    table = open_table(str(GOLDEN), TableChoice(version=0))
    fields = table.files()[0].view.fields
    assert [one.name for one in fields] == ["id", "x", "word", "at"]
    assert fields[0].type == pa.int32()
    assert sum(rows_of(table.files()).values()) == 72


def test_the_commits_are_told_though_a_checkpoint_follows_them():
    table = open_table(str(GOLDEN), TableChoice())
    commits = table.commits_since(None)
    assert [one.operation for one in commits] == ["WRITE", "DELETE", "RENAME COLUMN", "WRITE"]
    (one,) = commits[1].added
    (file,) = [each for each in table.files() if each.view.deleted is not None]
    assert (file.key, file.view.deleted.identity) == one.identity
    assert file.key.startswith("word=a b/")
