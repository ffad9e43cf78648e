"""Rows in a temporary file come back as they were; a folder that does not take them is named."""

from __future__ import annotations

import errno
import os
import tempfile

import pyarrow as pa
import pytest

from onepass.errors import JobError
from onepass.lake.temporary_rows import TemporaryRows

ROWS = pa.record_batch({"a": [1, 2, None], "t": ["x", None, "z"]})


def test_batches_are_read_in_any_order_though_the_system_writes_and_reads_in_bits(monkeypatch):
    write, read = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda file, rows, at: write(file, rows[:100], at))
    monkeypatch.setattr(os, "pread", lambda file, n, at: read(file, min(n, 100), at))
    rows = TemporaryRows()
    places = [rows.write(ROWS.slice(at)) for at in range(3)]
    for at in (2, 0, 1):
        assert rows.read(places[at], ROWS.schema) == ROWS.slice(at)


def test_file_lies_in_the_folder_for_temporary_files_and_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = TemporaryRows()
    place = rows.write(ROWS)
    links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    assert any(link.startswith(str(tmp_path)) for link in links)
    assert not list(tmp_path.iterdir())
    assert rows.read(place, ROWS.schema) == ROWS


def test_full_folder_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = TemporaryRows()
    rows.write(ROWS)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(JobError) as caught:
        rows.write(ROWS)
    message = str(caught.value)
    assert f"{tmp_path} takes only 0 MiB of it: No space left on device" in message
    assert "Set TMPDIR to a folder with more space on a disk, or raise --memory-limit." in message


def test_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(JobError, match=r"gone takes only 0 MiB of it: No such file or directory"):
        TemporaryRows()


def test_file_that_was_cut_short_is_no_fault_of_the_lake():
    rows = TemporaryRows()
    place = rows.write(ROWS)
    os.ftruncate(rows._file.fileno(), 10)
    with pytest.raises(JobError, match="cannot be read back: it has ended at 10 bytes"):
        rows.read(place, ROWS.schema)
