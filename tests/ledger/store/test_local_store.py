"""LocalStore: writes are durable and leave nothing behind, and one process holds the lock.

Promises of every store are in `test_every_store`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from onepass.errors import JobError, ModelConflict
from onepass.ledger.store import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "deep" / "model")


@pytest.fixture
def disk_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Calls that change the disk, in order, such as ``fsync log/file``."""
    steps: list[str] = []

    def name(path: Any) -> str:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        return Path(path).name if Path(path).is_dir() else f"{Path(path).parent.name}/file"

    for step in ("fsync", "link", "replace"):
        real = getattr(os, step)

        def recorded(first: Any, *rest: Any, real: Any = real, step: str = step) -> Any:
            steps.append(f"{step} {name(rest[0] if rest else first)}")
            return real(first, *rest)

        monkeypatch.setattr(os, step, recorded)
    return steps


def test_reader_of_a_replaced_file_goes_on_with_the_old_content(store):
    store.put("state/1.npz", b"a long first content")
    with open(store.root / "state/1.npz", "rb") as reader:
        store.put("state/1.npz", b"second")
        assert reader.read() == b"a long first content"


def test_leftovers_of_a_crash_are_not_listed_and_do_no_harm(store):
    store.put("log/1", b"")
    (store.root / "log" / "2.0123456789abcdef.tmp").write_bytes(b"half an ent")
    assert store.list("log") == ["log/1"]
    assert store.create("log/2", b"whole")
    assert store.list("log") == ["log/1", "log/2"]


@pytest.mark.parametrize("call", ["create", "put"])
@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_failed_write_leaves_nothing_behind(store, monkeypatch, call, step):
    store.put("log/0", b"before")

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    if step == {"create": "replace", "put": "link"}.get(call):
        getattr(store, call)("log/1", b"data")
        return
    with pytest.raises(OSError, match="No space left") as caught:
        getattr(store, call)("log/1", b"data")
    if step == "fsync":
        assert caught.value.filename == str(store.root / "log/1")
    assert os.listdir(store.root / "log") == ["0"]


def test_created_file_is_synced_before_it_gets_its_name_and_its_folder_after(store, disk_steps):
    store.create("log/1", b"data")
    disk_steps.clear()
    store.create("log/2", b"data")
    assert disk_steps == ["fsync log/file", "link log/file", "fsync log"]


def test_put_file_is_synced_before_it_gets_its_name_and_its_folder_after(store, disk_steps):
    store.put("state/1", b"data")
    disk_steps.clear()
    store.put("state/1", b"more data")
    assert disk_steps == ["fsync state/file", "replace state/file", "fsync state"]


def test_new_folders_are_synced_into_their_parents(store, disk_steps, tmp_path):
    store.create("log/1", b"data")
    assert disk_steps[:3] == [f"fsync {tmp_path.name}", "fsync deep", "fsync model"]


def test_file_system_without_hard_links_is_refused_with_advice(store, monkeypatch):
    def refuse(*args: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(JobError, match=r"no hard links.*keep the model on a local disk"):
        store.create("log/1", b"data")
    assert os.listdir(store.root / "log") == []


def test_only_one_holder_at_a_time_and_its_process_is_named(store):
    says = f"process {os.getpid()} is training"
    again = LocalStore(store.root)
    with store.exclusive(), pytest.raises(ModelConflict, match=says), again.exclusive():
        pass
    with store.exclusive():
        pass
