"""A Delta table in an object store is read as the same table on a disk."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa
import pytest

from delta_tables import HandWritten, column, removed
from onepass.errors import BadPartition, DataError, JobError
from onepass.lake.footer import read_footer
from onepass.lake.tables.delta import DeltaTable, open_table
from onepass.lake.tables.table import TableChoice
from s3 import KEY_ID, SECRET
from table_rows import rows_of


def opened(lake: str | Path) -> DeltaTable:
    return open_table(str(lake), TableChoice())


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A table with odd names, a checkpoint with sidecars, and deletion vectors of each kind."""
    columns = [column("x", pa.int64()), column("p", pa.string())]
    features = ["deletionVectors", "v2Checkpoint"]
    table = HandWritten(tmp_path / "t", columns, ["p"], features)
    adds = [
        table.add(pa.table({"x": range(at, 30)}), {"p": value}, folder)
        for at, (value, folder) in enumerate([("a b", "p=a b"), ("50%", "p=50%25"), (None, "p=é")])
    ]
    table.commit("WRITE", *adds)
    fewer = [table.without(adds[0], [0, 29], "u", "ab"), table.without(adds[1], [5], "i")]
    table.commit("DELETE", *map(removed, adds[:2]), *fewer)
    table.checkpoint([*fewer, adds[2]], sidecars="parquet")
    table.commit("WRITE", *(table.add(pa.table({"x": [at]}), {"p": "c"}) for at in range(9)))
    return table.root


def test_files_rows_and_commits_are_those_of_the_disk(local, upload):
    lake = upload(local, "tables/my t")
    here, there = opened(local), opened(lake)
    files = there.files()
    assert [one.key for one in files] == [one.key for one in here.files()]
    assert [one.location for one in files] == [f"{lake}/{one.key}" for one in files]
    assert all(one.remote is not None and one.remote.etag for one in files)
    assert rows_of(files) == rows_of(here.files())
    assert there.commits_since(None) == here.commits_since(None)
    old = here.commits_since(None)[1].removed[0]
    found = there.file(*old.identity)
    assert found is not None
    assert found.remote is not None
    assert there.file("p=a b/nothing.parquet", None) is None


def test_few_files_are_described_without_a_listing(local, upload):
    table = opened(upload(local, "t"))
    # The last commit adds nine files; the checkpoint has three.
    earlier = open_table(upload(local, "t"), TableChoice(version=1)).files()
    whole = {one.key: one.remote for one in table.files()}
    assert [one.remote for one in earlier] == [whole[one.key] for one in earlier]


def test_a_file_or_vector_that_is_gone_is_an_error_of_this_file_alone(local, upload):
    (gone,) = {one.key for one in opened(local).files() if one.key.startswith("p=é/")}
    (local / gone).unlink()
    next((local / "ab").iterdir()).unlink()
    lake = upload(local, "t")
    for one in opened(lake).files():
        if one.key == gone:
            with pytest.raises(BadPartition, match="no such object"):
                read_footer(one)
        elif one.key.startswith("p=a b/"):
            with pytest.raises(BadPartition, match=r"deletion vector .* is missing"):
                one.view.deleted.positions()
        else:
            read_footer(one)


def test_a_log_names_local_files_in_vain(local, upload):
    table = HandWritten(local.parent / "other", [column("x", pa.int64())])
    add = table.add(pa.table({"x": [1]}))
    table.commit("WRITE", {"add": {**add["add"], "path": f"file://{table.root}/x.parquet"}})
    with pytest.raises(DataError, match="a local path in the log of a table in an object store"):
        opened(upload(table.root, "t"))


def test_a_url_of_another_bucket_is_a_clone(local, upload, bucket):
    lake = upload(local, "t")
    (add,) = [one for one in opened(lake).files() if one.key.startswith("p=é/")]
    clone = HandWritten(local.parent / "clone", [column("x", pa.int64())])
    path = add.location.replace("s3://", "s3a://").replace("é", "%C3%A9")
    whole = clone.add(pa.table({"x": [1]}))["add"]
    clone.commit("CLONE", {"add": {**whole, "path": path}})
    (found,) = opened(upload(clone.root, "clone")).files()
    assert (found.key, found.location) == (add.location, add.location)
    assert found.remote == add.remote


def test_credentials_are_in_no_message(local, upload, bucket, caplog, monkeypatch):
    lake = upload(local, "t")
    caplog.set_level(logging.DEBUG)
    messages = []
    for bad in (
        f"{lake}/none",
        f"s3://{KEY_ID}:{SECRET}@bucket/t",
        f"{lake}?X-Amz-Signature={SECRET}",
    ):
        with pytest.raises((JobError, DataError)) as caught:
            opened(bad)
        messages.append(str(caught.value))
    assert not any(SECRET in one for one in [*messages, caplog.text])
