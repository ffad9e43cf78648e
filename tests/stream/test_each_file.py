"""A function of each file: results in the order of the files, from threads or from a cluster."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile
from onepass.stream.each_file import each_file
from onepass.stream.workers import Workers

HERE = [LakeFile(f"{i}.parquet", f"/lake/{i}.parquet", ()) for i in range(300)]
REMOTE = [
    LakeFile(file.key, f"s3://bucket/{file.key}", (), remote=SimpleNamespace()) for file in HERE
]


def look(shared: str, file: LakeFile) -> tuple[str, str]:
    if file.key == "0.parquet":
        # The first one ends last.
        time.sleep(0.05)
    return shared + file.key, threading.current_thread().name


@pytest.mark.parametrize("is_cluster", [False, True])
@pytest.mark.parametrize("decodes", [False, True])
@pytest.mark.parametrize("files", [HERE, REMOTE], ids=["here", "remote"])
def test_results_come_in_the_order_of_the_files(monkeypatch, files, decodes, is_cluster):
    monkeypatch.setattr(Workers, "is_cluster", is_cluster)
    with Workers() as workers:
        found = list(each_file(look, "of ", files, workers, lambda file: file, decodes=decodes))
        assert list(each_file(look, "of ", [], workers, lambda file: file)) == []
    assert [text for text, _ in found] == [f"of {file.key}" for file in files]
    threads = {name for _, name in found}
    is_here = threads == {threading.current_thread().name}
    assert is_here == (not is_cluster and files is HERE and not decodes)


def test_an_error_of_a_worker_counts_only_if_this_process_finds_it_as_well(monkeypatch):
    """A worker may have lost its way to the lake, and a model is made of what is left of it."""
    monkeypatch.setattr(Workers, "is_cluster", True)
    here = threading.current_thread().name

    def fails(_: None, file: LakeFile) -> str:
        lost = file.key in {"3.parquet", "70.parquet"} and threading.current_thread().name != here
        return "bad" if lost or file.key == "5.parquet" else file.key

    with Workers() as workers:
        each = each_file(
            fails, None, HERE, workers, lambda file: file, is_bad=lambda found: found == "bad"
        )
        found = list(each)
    assert found == [file.key if file.key != "5.parquet" else "bad" for file in HERE]


def test_threads_wait_for_an_object_store_side_by_side():
    all_wait = threading.Barrier(8, timeout=10)

    def wait(_: None, file: LakeFile) -> str:
        # Raises BrokenBarrierError if fewer than eight threads wait at the same time.
        all_wait.wait()
        return file.key

    with Workers() as workers:
        found = list(each_file(wait, None, REMOTE[:16], workers, lambda file: file))
    assert found == [file.key for file in REMOTE[:16]]


def test_the_first_error_is_raised_and_no_more_files_are_begun():
    begun = []

    def fail(_: None, file: LakeFile) -> None:
        begun.append(file.key)
        raise ValueError(file.key)

    with Workers() as workers, pytest.raises(ValueError, match=r"^0.parquet$"):
        list(each_file(fail, None, REMOTE, workers, lambda file: file))
    assert len(begun) < 100


def test_an_error_that_a_worker_raises_counts_only_if_this_process_raises_it_as_well(monkeypatch):
    monkeypatch.setattr(Workers, "is_cluster", True)
    here = threading.current_thread()

    def look(_: None, file: LakeFile) -> str:
        if file.key == "7.parquet" and threading.current_thread() is not here:
            raise BadPartition("not found", path=file.key)
        return file.key

    with Workers() as workers:
        found = list(each_file(look, None, HERE, workers, lambda file: file))
    assert found == [file.key for file in HERE]
