"""Retention: which states stay, and when the others are deleted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lakes import logged_training
from onepass.ledger.expiry import EXPIRING_KEY
from onepass.ledger.ledger import Ledger
from onepass.ledger.retention import KEEP_EVERY, KEEP_NEWEST, Retention
from onepass.ledger.store import LocalStore

ROOT = "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "model")


def state_versions(store: LocalStore) -> list[int]:
    states = (key for key in store.list("state") if key.endswith(".npz"))
    return [int(key[len("state/") :][:8]) for key in states]


def killed(*args: Any) -> None:
    raise KeyboardInterrupt


def test_retention_keeps_the_newest_three_and_every_hundredth(store):
    ledger = Ledger(store, ROOT)
    for i in range(203):
        ledger.commit_train(str(i).encode(), logged_training(str(i)))
        kept = store.list("state")
        assert len(kept) == min(i + 1, 3) + (i >= 102) + (i >= 202)
    assert [int(key[6:14]) for key in kept] == [100, 200, 201, 202, 203]
    assert len(store.list("log")) == 203
    assert ledger.read_state(ledger.history.trained()[99]) == b"99"


def test_retention_leaves_files_that_the_log_does_not_name(store, monkeypatch):
    store.put("state/00000001-somebody.npz", b"else")
    ledger = Ledger(store, ROOT)
    for name in "abcdefg":
        ledger.commit_train(name.encode(), logged_training(name))
    assert store.get("state/00000001-somebody.npz") == b"else"


def test_states_that_a_killed_run_has_not_deleted_are_deleted_by_the_next(store, monkeypatch):
    for name in "abcdefg":
        ledger = Ledger(store, ROOT)
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(LocalStore, "delete", killed)
            ledger.commit_train(name.encode(), logged_training(name))
    assert len(state_versions(store)) == 7
    Ledger(store, ROOT).commit_train(b"h", logged_training("h"))
    assert state_versions(store) == [6, 7, 8]
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(LocalStore, "delete", killed)
        Ledger(store, ROOT).commit_rewind(6)
    assert state_versions(store) == [6, 7, 8]
    Ledger(store, ROOT).commit_train(b"i", logged_training("i"))
    # The last before the rewind is kept for good.
    assert state_versions(store) == [6, 8, 10]


def test_state_that_another_writer_goes_back_to_meanwhile_is_kept(store, monkeypatch):
    ledger = Ledger(store, ROOT)
    for name in "abcde":
        ledger.commit_train(name.encode(), logged_training(name))
    real = LocalStore.create

    def overtaken(self: LocalStore, key: str, data: bytes) -> bool:
        is_new = real(self, key, data)
        if key == "log/00000000000000000006.json":
            other = Ledger(store, ROOT)
            assert other.has_state(other.history.learnt()[2])
            other.commit_rewind(3)
        return is_new

    monkeypatch.setattr(LocalStore, "create", overtaken)
    ledger.commit_train(b"f", logged_training("f"))
    found = Ledger(store, ROOT)
    assert found.read_state(found.history.learnt()[-1]) == b"c"
    found.commit_train(b"g", logged_training("g"))
    assert state_versions(store) == [3, 6, 8]


def test_rewinding_a_long_log_touches_only_states_that_are_there(store, monkeypatch):
    ledger = Ledger(store, ROOT)
    for number in range(30):
        ledger.commit_train(b"s", logged_training(str(number)))
    deleted = []
    monkeypatch.setattr(LocalStore, "delete", lambda self, key: deleted.append(key))
    Ledger(store, ROOT).commit_rewind(28)
    assert deleted == [ledger.history.learnt()[28].state.key, EXPIRING_KEY]


def test_retention_is_what_the_documentation_says():
    assert (KEEP_NEWEST, KEEP_EVERY) == (3, 100)


def test_rewinds_keep_the_newest_state_before_each_for_good(store):
    writer = Ledger(store, ROOT)
    for number, to in enumerate([0, 2, 1, 5, 0, 9, 9, 3]):
        writer.commit_train(b"s", logged_training(str(number)))
        writer.commit_plan([])
        if to < writer.version:
            writer.commit_rewind(to)
    reader = Ledger(store, ROOT)
    rewinds = writer.history.rewinds
    pinned = {writer.history.newest_learnt(rewind.version - 1) for rewind in rewinds}
    for entry in (e for e in writer.entries if e.action == "train"):
        assert writer.retention.keeps_for_good(entry) == (entry.version in pinned)
        assert reader.retention.keeps_for_good(entry) == (entry.version in pinned)
        assert reader.retention.keeps(entry) == writer.retention.keeps(entry)
        assert writer.has_state(entry) == (entry in writer.retention.stored())


def test_commit_looks_at_no_more_states_than_can_be_deleted(store, monkeypatch):
    ledger, asked = Ledger(store, ROOT), []
    ledger.retention = Retention(store, ledger.history, keep_every=2)
    real = Retention.keeps
    monkeypatch.setattr(Retention, "keeps", lambda *args: asked.append(args) or real(*args))
    for number in range(20):
        ledger.commit_train(b"s", logged_training(str(number)))
        assert len(asked) <= KEEP_NEWEST + 1
        asked.clear()
    assert state_versions(store) == [*range(2, 19, 2), 19, 20]
