"""Checked lakes: no row is read before every file has passed, or after a file has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import corrupt_pages, number_table, write_files
from onepass import evaluate, score, train
from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.errors import BadPartition, ChangedPartition
from onepass.lake.discover import discover
from onepass.stream.lake_groups import CheckedLake, check_files
from onepass.stream.reading import Reading
from onepass.stream.stream import blocks_of
from onepass.stream.workers import Workers
from recording import At

SCHEMA = Schema(
    columns=[Numeric(name=name, center=0, scale=1, missing=False) for name in "ab"],
    label=Label(name="y"),
    weight=None,
    hash_bits=10,
    hive={},
)


def checked(folder: Path, **options: Any) -> CheckedLake:
    with Workers() as workers:
        return check_files(discover(str(folder)), Reading(Encoder(SCHEMA), 128, **options), workers)


def refused(folder: Path, table: pa.Table) -> BadPartition:
    """Return the error for a file that follows one whose rows cannot be read."""
    write_files(folder, {"0.parquet": number_table(450, 0), "1.parquet": table}, row_group_size=150)
    corrupt_pages(folder / "0.parquet")
    with pytest.raises(BadPartition) as caught:
        checked(folder)
    return caught.value


@pytest.mark.parametrize("column", ["a", "b", "y"])
def test_missing_column_is_refused_before_a_row_is_read(tmp_path, column):
    error = refused(tmp_path, number_table(50, 1).drop_columns([column]))
    assert (error.path, error.column, error.row_group) == ("1.parquet", column, None)
    assert error.reason == "the column is missing"


@pytest.mark.parametrize("column", ["a", "y"])
def test_column_that_is_there_twice_is_refused_before_a_row_is_read(tmp_path, column):
    error = refused(tmp_path, number_table(50, 1).append_column(column, [["x"] * 50]))
    assert (error.path, error.column, error.row_group) == ("1.parquet", column, None)
    assert error.reason == "the column is there more than once"


def test_label_need_not_be_there_where_it_is_not_read(tmp_path):
    write_files(tmp_path, {"0.parquet": number_table(50, 0).drop_columns("y")})
    assert checked(tmp_path, label=False).n_rows == 50


def test_checked_files_know_rows_partitions_and_kept_columns(tmp_path):
    files = {"0.parquet": number_table(300, 0), "1.parquet": number_table(50, 1)}
    write_files(tmp_path, files)
    lake = checked(tmp_path, keep=("level",))
    assert (lake.n_rows, [file.key for file in lake.files]) == (350, list(files))
    for file, table in zip(lake.files, files.values(), strict=True):
        assert file.kept == [table.schema.field("level")]
        assert sum(one.rows for one in file.partitions) == file.fingerprint.rows == len(table)


def test_placed_partitions_of_a_file_give_its_rows(tmp_path):
    table = number_table(300, 0)
    write_files(tmp_path, {"0.parquet": table}, row_group_size=70)
    reading = Reading(Encoder(SCHEMA), 128)
    with Workers() as workers:
        lake = check_files(discover(str(tmp_path)), reading, workers)
    labels = [
        streamed.encoded.block.label
        for part in lake.placed(lake.files[0])
        for streamed in blocks_of(part.group(lake.check), reading)
    ]
    np.testing.assert_array_equal(np.concatenate(labels), table["y"])


@pytest.fixture
def job(make_lake, tmp_path) -> dict[str, Any]:
    job = {"lake": str(make_lake(2)), "label": "y", "model": str(tmp_path / "model")}
    train(job)
    return job


USES = {
    "evaluate": lambda job, progress: evaluate(job["lake"], job["model"], progress=progress),
    "score": lambda job, progress: score(
        job["lake"], job["model"], job["model"] + "-out", progress=progress
    ),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_file_that_is_replaced_after_its_check_is_noticed(job, use: Callable):
    path = Path(job["lake"]) / "part-1.parquet"
    replace = At("started", lambda _: pq.write_table(number_table(90, seed=5), path))
    with pytest.raises(ChangedPartition, match=r"part-1.parquet has changed"):
        use(job, replace)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_file_that_is_removed_after_its_check_is_noticed(job, use: Callable):
    path = Path(job["lake"]) / "part-1.parquet"
    with pytest.raises(BadPartition, match=r"part-1.parquet"):
        use(job, At("started", lambda _: path.unlink()))
