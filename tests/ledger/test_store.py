"""A store keeps bytes whole, durably, and gives a name away only once."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import JobError, ModelConflict
from pipeline.ledger.store import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "deep" / "model")


@pytest.fixture
def disk_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the disk, in order, such as ``fsync log/1.json.tmp``."""
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


def test_create_keeps_what_is_there(store):
    assert store.create("log/1.json", b"first")
    assert not store.create("log/1.json", b"second")
    assert store.get("log/1.json") == b"first"


def test_put_replaces_as_a_whole(store):
    store.put("state/1.npz", b"a long first content")
    with open(store.root / "state/1.npz", "rb") as reader:
        store.put("state/1.npz", b"second")
        assert reader.read() == b"a long first content"
    assert store.get("state/1.npz") == b"second"


def test_list_is_sorted_and_of_one_folder(store):
    for key in ("log/2", "log/1", "log/deeper/3", "state/4"):
        store.put(key, b"")
    assert store.list("log") == ["log/1", "log/2", "log/deeper"]
    assert store.list("nothing") == []


def test_what_is_absent_cannot_be_read_but_deleted(store):
    with pytest.raises(FileNotFoundError):
        store.get("log/1")
    store.delete("log/1")
    store.put("log/1", b"")
    store.delete("log/1")
    assert store.list("log") == []


@pytest.mark.parametrize("key", ["../x", "log/../../x", "/etc/x", "log//x", "", ".", "log\\..\\x"])
@pytest.mark.parametrize("call", ["create", "put", "get", "list", "delete"])
def test_keys_that_lead_elsewhere_are_refused(store, key, call):
    arguments = [key, b""] if call in {"create", "put"} else [key]
    with pytest.raises(ValueError, match="not a key"):
        getattr(store, call)(*arguments)


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
    with pytest.raises(OSError, match="No space left"):
        getattr(store, call)("log/1", b"data")
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


def test_of_two_processes_exactly_one_creates_each_key(store):
    rounds = 300
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(2, timeout=60), context.Queue()
    racers = [
        context.Process(target=_race, args=(store.root, rounds, start, answers)) for _ in range(2)
    ]
    for racer in racers:
        racer.start()
    won = dict(answers.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join()
    (one, ones), (other, others) = won.items()
    assert sorted(ones + others) == list(range(rounds))
    assert ones
    assert others
    assert [int(store.get(f"log/{i}")) for i in ones] == [one] * len(ones)
    assert [int(store.get(f"log/{i}")) for i in others] == [other] * len(others)
    assert len(os.listdir(store.root / "log")) == rounds


def _race(root: Path, rounds: int, start: Any, answers: Any) -> None:
    store, me = LocalStore(root), os.getpid()
    won = []
    for i in range(rounds):
        start.wait()
        if store.create(f"log/{i}", str(me).encode()):
            won.append(i)
    answers.put((me, won))


def test_only_one_holder_at_a_time_and_its_process_is_named(store):
    says = f"process {os.getpid()} is training"
    again = LocalStore(store.root)
    with store.exclusive(), pytest.raises(ModelConflict, match=says), again.exclusive():
        pass
    with store.exclusive():
        pass
