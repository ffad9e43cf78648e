"""A footer is not read again where the look of a file tells that it is the same; else it is."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from lakes import number_table, write_files
from onepass.actions.verify import verify
from onepass.cloud.bucket import RemoteObject
from onepass.lake.discover import LakeFile, discover
from onepass.lake.footer import read_footer
from onepass.lake.look import look_at
from onepass.ledger.leftovers import LOOKS_KEY
from onepass.ledger.store import open_store
from onepass.partition import Fingerprint
from onepass.training import compared, settled_looks
from onepass.training.settled_looks import SettledLooks
from small import train


@pytest.fixture(autouse=True)
def _small_lakes_are_remembered(monkeypatch):
    monkeypatch.setattr(settled_looks, "LEAST_FILES", 1)


@pytest.fixture
def lake(tmp_path):
    folder = write_files(
        tmp_path / "lake", {f"day={i}/ä{i}.parquet": number_table(40, seed=i) for i in range(6)}
    )
    for file in discover(str(folder)):
        aged(file.location)
    return folder


def aged(path, seconds=100):
    """Make a file look as if it had been written some time ago; its time of change stays now."""
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - seconds * 10**9))


@pytest.fixture
def fields(tmp_path, lake):
    return {"lake": str(lake), "label": "y", "model": str(tmp_path / "model")}


@pytest.fixture
def reads(monkeypatch):
    """Files whose footers planning reads, in order."""
    found = []

    def counting(name):
        real = getattr(compared, name)

        def read(file, *rest):
            found.append(file.key)
            return real(file, *rest)

        monkeypatch.setattr(compared, name, read)

    counting("read_footer")
    counting("is_unchanged")
    monkeypatch.setattr(settled_looks, "_RACY_NS", -(10**18))
    return found


def test_the_next_run_reads_no_footer(fields, reads, tmp_path):
    assert train(fields).partitions == 6
    assert len(reads) == 6
    assert (tmp_path / "model" / LOOKS_KEY).is_file()
    reads.clear()
    assert train(fields).partitions == 0
    assert reads == []
    assert verify(fields["model"]).findings == []


def test_a_new_file_is_the_only_one_that_is_read(fields, reads, lake):
    train(fields)
    reads.clear()
    write_files(lake, {"day=9/new.parquet": number_table(30, seed=9)})
    assert train(fields).partitions == 1
    assert reads == ["day=9/new.parquet"]


@pytest.mark.parametrize("how", ["content", "time", "moved"])
def test_a_file_that_looks_different_is_read(fields, reads, lake, how):
    train(fields)
    reads.clear()
    path = lake / "day=3/ä3.parquet"
    if how == "content":
        pq.write_table(number_table(40, seed=77), path)
        with pytest.raises(ValueError, match="has changed since it was trained"):
            train(fields)
    elif how == "time":
        aged(path)
        assert train(fields).partitions == 0
    else:
        other = path.with_suffix(".tmp")
        shutil.copy2(path, other)
        os.replace(other, path)
        assert train(fields).partitions == 0
    assert set(reads) == {"day=3/ä3.parquet"}


def test_a_file_of_the_same_size_and_time_is_read_if_its_time_of_change_differs(
    fields, reads, lake
):
    train(fields)
    reads.clear()
    path = lake / "day=3/ä3.parquet"
    status, table = os.stat(path), pq.read_table(path)
    other = table.set_column(0, "a", [table["a"].combine_chunks().take(np.arange(40)[::-1])])
    pq.write_table(other, path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert os.stat(path).st_size == status.st_size
    train(fields)
    assert reads == ["day=3/ä3.parquet"]


def test_check_content_reads_every_footer(fields, reads):
    train(fields)
    reads.clear()
    assert train({**fields, "check": "content"}).partitions == 0
    assert len(reads) == 6


def test_a_file_that_has_just_changed_is_read_again(fields, reads, monkeypatch):
    monkeypatch.setattr(settled_looks, "_RACY_NS", 10**12)
    train(fields)
    reads.clear()
    train(fields)
    assert len(reads) == 6


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no archive", None])
def test_nothing_depends_on_what_is_remembered(fields, reads, tmp_path, data):
    train(fields)
    path = tmp_path / "model" / LOOKS_KEY
    if data is None:
        np.savez(path, paths=np.zeros(3, np.uint8), numbers=np.zeros((9, 3)), contents=np.zeros(1))
    else:
        path.write_bytes(data)
    reads.clear()
    assert train(fields).partitions == 0
    assert len(reads) == 6
    path.unlink()
    assert train(fields).partitions == 0


def test_a_look_of_another_content_tells_nothing(tmp_path, lake, monkeypatch):
    monkeypatch.setattr(settled_looks, "_RACY_NS", -(10**18))
    store = open_store(str(tmp_path / "model"))
    file = discover(str(lake))[0]
    look, content = look_at(file), read_footer(file).fingerprint
    looks = SettledLooks(store)
    looks.note(file, look, content)
    looks.save([file.key])
    again = SettledLooks(open_store(str(tmp_path / "model")))
    assert again.tell(file, look, content)
    assert not again.tell(file, replace(look, size=look.size + 1), content)
    assert not again.tell(file, look, replace(content, footer_sha256="00" * 32))
    assert not SettledLooks(store, trusts=False).tell(file, look, content)
    looks = SettledLooks(store)
    looks.save([])
    assert SettledLooks(store).tell(file, look, content)


def test_the_etag_of_an_object_stands_for_its_footer():
    found = RemoteObject("a.parquet", 90, "tag")
    file = LakeFile("a.parquet", "s3://bucket/a.parquet", (), found)
    content = Fingerprint(90, "ab" * 32, 5, 1, "tag")
    looks = SettledLooks(None)
    assert looks.tell(file, look_at(file), content)
    for other in (replace(content, etag="other"), replace(content, size=91)):
        assert not looks.tell(file, look_at(file), other)
    nameless = replace(file, remote=replace(found, etag=None))
    assert not looks.tell(nameless, look_at(nameless), replace(content, etag=None))
