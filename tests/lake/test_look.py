"""A look at a file tells that it was replaced, and costs no read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from onepass.cloud.bucket import RemoteObject
from onepass.lake.discover import LakeFile
from onepass.lake.look import ABSENT, look_at
from onepass.partition import Look


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"content")
    return path


def looked(path: Path) -> Look:
    return look_at(LakeFile(path.name, str(path), ()))


def test_file_that_nobody_touched_looks_the_same(path):
    before = looked(path)
    path.read_bytes()
    assert before.is_same(looked(path))
    assert before.size == 7


@pytest.mark.parametrize("size", [7, 8])
def test_file_that_is_replaced_looks_different_at_the_same_time_of_change(path, size):
    before, was = looked(path), path.stat()
    fresh = path.with_suffix(".new")
    fresh.write_bytes(b"x" * size)
    os.utime(fresh, ns=(was.st_atime_ns, was.st_mtime_ns))
    fresh.replace(path)
    assert not before.is_same(looked(path))


def test_file_that_may_be_read_now_looks_different(path):
    path.chmod(0o200)
    before = looked(path)
    path.chmod(0o600)
    assert not before.is_same(looked(path))


def test_file_that_is_not_there_never_looks_the_same(path):
    path.unlink()
    assert looked(path) == look_at(None) == ABSENT
    assert not ABSENT.is_same(ABSENT)


def test_object_looks_the_same_only_by_its_etag():
    listed = RemoteObject("a.parquet", 7, "one")
    file = LakeFile("a.parquet", "s3://b/a.parquet", (), listed)
    other = replace(file, remote=replace(listed, etag="other"))
    nameless = replace(file, remote=replace(listed, etag=None))
    assert look_at(file).is_same(look_at(file))
    assert not look_at(file).is_same(look_at(other))
    assert not look_at(nameless).is_same(look_at(nameless))
