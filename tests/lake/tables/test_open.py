"""A table is read as a table or not at all: its bare files only for who asks for them."""

from __future__ import annotations

import sys

import pyarrow as pa
import pytest

from delta_tables import HandWritten, column
from lakes import number_table, write_files
from onepass.errors import DataError, JobError
from onepass.lake.tables.open import list_lake, open_lake
from onepass.lake.tables.table import TableChoice

MARKS = {
    "Delta": "_delta_log/00000000000000000000.json",
    "Iceberg": "metadata/v1.metadata.json",
    "Hudi": ".hoodie/hoodie.properties",
}
BARE = TableChoice(as_files=True)


def table_folder(folder, kind, names=("a.parquet", "day=1/b.parquet")):
    write_files(folder, {name: number_table(20, seed=1) for name in names})
    (folder / MARKS[kind]).parent.mkdir(parents=True)
    (folder / MARKS[kind]).write_text("{}")
    return folder


def keys(files):
    return [file.key for file in files]


@pytest.mark.parametrize("kind", MARKS)
def test_bare_files_of_a_table_are_read_only_if_asked_for(tmp_path, kind):
    lake = str(table_folder(tmp_path / "t", kind))
    with pytest.raises((JobError, DataError)):
        list_lake(lake)
    assert keys(list_lake(lake, BARE)) == ["a.parquet", "day=1/b.parquet"]


@pytest.mark.parametrize("kind", MARKS)
@pytest.mark.parametrize("part", ["day=1", "*.parquet", "day=*/b.parquet", "a.parquet", "**"])
def test_part_of_a_table_is_no_lake(tmp_path, kind, part):
    lake = f"{table_folder(tmp_path / 't', kind)}/{part}"
    with pytest.raises(JobError, match=f"a part of the {kind} table in .*/t', .*--as-files"):
        list_lake(lake)
    assert list_lake(lake, BARE)


@pytest.mark.parametrize("kind", MARKS)
def test_files_of_a_list_may_not_lie_in_a_table(tmp_path, kind):
    folder = table_folder(tmp_path / "t", kind)
    files = [str(folder / "a.parquet"), str(folder / "day=1/b.parquet")]
    with pytest.raises(JobError, match=f"a list of 2 files is a part of the {kind} table"):
        list_lake(files)
    assert keys(list_lake(files, BARE)) == files


@pytest.mark.parametrize("kind", MARKS)
@pytest.mark.parametrize("lake", ["", "/*", "/**"])
def test_folder_that_holds_tables_is_no_lake(tmp_path, kind, lake):
    table_folder(tmp_path / "lake/clicks", kind)
    with pytest.raises(JobError, match=f"holds the {kind} table .*clicks'; give one table"):
        list_lake(f"{tmp_path}/lake{lake}")


def test_plain_lakes_are_no_tables(tmp_path):
    names = ["metadata/x.parquet", "data/y.parquet", "day=1/z.parquet"]
    write_files(tmp_path, {name: number_table(20, seed=1) for name in names})
    opened = open_lake(str(tmp_path))
    assert opened.table is None
    assert keys(opened.files) == sorted(names)


def test_hudi_is_refused_with_the_way_out(tmp_path):
    lake = str(table_folder(tmp_path / "t", "Hudi"))
    with pytest.raises(JobError, match=r"is a table in Hudi format, .* --as-files"):
        list_lake(lake)


def forget(monkeypatch, package, kind):
    """Make a package seem not to be installed, to modules that are imported anew."""
    loaded = [name for name in sys.modules if name.startswith(f"{package}.")]
    for name in (package, *loaded):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("onepass.lake.tables.")]:
        if name.rsplit(".", 1)[1].startswith(kind):
            monkeypatch.delitem(sys.modules, name)


def test_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    lake = str(table_folder(tmp_path / "t", "Iceberg"))
    forget(monkeypatch, "pyiceberg", "iceberg")
    said = r"'pyiceberg\S*' is not installed: pip install 'onepass\[iceberg\]'"
    with pytest.raises(JobError, match=said):
        list_lake(lake)


def test_a_delta_table_needs_no_package(tmp_path, monkeypatch):
    table = HandWritten(tmp_path / "t", [column("x", pa.int64())])
    table.commit("WRITE", table.add(pa.table({"x": [1]})))
    forget(monkeypatch, "deltalake", "delta")
    assert len(list_lake(str(table.root))) == 1


def test_version_of_a_lake_that_is_no_table_is_refused(tmp_path):
    write_files(tmp_path, {"a.parquet": number_table(20, seed=1)})
    for choice, flag in (
        (TableChoice(version=3), "--lake-version"),
        (TableChoice(timestamp="2026-01-01"), "--lake-timestamp"),
    ):
        with pytest.raises(JobError, match=f"{flag} asks for a version, but .* is no table"):
            list_lake(str(tmp_path), choice)
