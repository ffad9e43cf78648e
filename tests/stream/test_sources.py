"""Sources: a partition is found in its file, as it was when its fingerprint was taken."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table, write_files
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.errors import BadPartition, ChangedPartition
from onepass.lake.discover import LakeFile, discover
from onepass.lake.footer import partitions, read_footer
from onepass.partition import Partition
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.sources import check_unchanged, open_source, open_sources

SCHEMA = Schema(
    columns=[Numeric(name="a", center=0, scale=1, missing=False)],
    label=Label(name="y"),
    weight=None,
    hash_bits=10,
    hive={},
)
ENTRY_POINTS = {
    "opened": open_source,
    "compared": lambda partition, *others: check_unchanged([partition], *others),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    files = {f"{i}.parquet": number_table(300 + i, seed=i) for i in range(2)}
    return write_files(tmp_path / "lake", files, row_group_size=150)


@pytest.fixture
def files(folder) -> dict[str, LakeFile]:
    return {file.key: file for file in discover(str(folder))}


@pytest.fixture
def planned(files) -> list[Partition]:
    """Return the partitions of both files, as a plan has them."""
    return [one for file in files.values() for one in partitions(file, read_footer(file))]


@pytest.fixture
def check() -> ColumnCheck:
    return ColumnCheck(SCHEMA, label=True)


def test_sources_are_found_in_the_order_of_the_partitions(files, planned, check):
    sources = open_sources(reversed(planned), files, [check])
    assert [source.partition for source in sources] == planned[::-1]
    assert [source.file.key for source in sources] == ["1.parquet", "0.parquet"]
    assert [source.footer.fingerprint for source in sources] == [
        one.fingerprint for one in planned[::-1]
    ]


@pytest.mark.parametrize("entry_point", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_file_that_is_no_longer_listed_is_bad(files, planned, check, entry_point):
    del files["0.parquet"]
    with pytest.raises(BadPartition, match="planned, but no longer in the lake") as caught:
        entry_point(planned[0], files, check)
    assert caught.value.path == "0.parquet"


@pytest.mark.parametrize("entry_point", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_file_that_is_removed_after_the_listing_is_bad(folder, files, planned, check, entry_point):
    (folder / "0.parquet").unlink()
    with pytest.raises(BadPartition) as caught:
        entry_point(planned[0], files, check)
    assert caught.value.path == "0.parquet"


@pytest.mark.parametrize("entry_point", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
@pytest.mark.parametrize("n_rows", [300, 301], ids=["same rows", "other rows"])
def test_file_that_has_changed_is_named(folder, files, planned, check, entry_point, n_rows):
    pq.write_table(number_table(n_rows, seed=9), folder / "0.parquet", row_group_size=150)
    with pytest.raises(ChangedPartition, match=r"0.parquet has changed since") as e:
        entry_point(planned[0], files, check)
    assert e.value.path == "0.parquet"
    entry_point(planned[1], files, check)


def test_touched_file_is_unchanged(folder, files, planned, check):
    os.utime(folder / "0.parquet", (1, 1))
    check_unchanged(planned, files, check)
    assert len(open_sources(planned, files, [check])) == 2


def test_file_without_the_columns_is_bad_though_its_fingerprint_fits(tmp_path, check):
    write_files(tmp_path, {"0.parquet": pa.table({"y": [1.0, 2.0]})})
    (file,) = discover(str(tmp_path))
    (partition,) = partitions(file, read_footer(file))
    with pytest.raises(BadPartition, match="the column is missing") as caught:
        open_source(partition, {file.key: file}, check)
    assert (caught.value.path, caught.value.column) == ("0.parquet", "a")
