"""Tags: names for versions, moved by compare-and-swap, whose states retention spares."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from lakes import logged_training
from onepass.errors import ForeignModel, JobError, ModelConflict
from onepass.ledger import expiry
from onepass.ledger.entries import digest, sealed
from onepass.ledger.expiry import EXPIRING_KEY
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import LocalStore, open_store
from onepass.ledger.tag_entry import MAX_TAG_BYTES, is_tag_name, tag_key

ROOT = "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "model")


def trained(store: Any, names: str = "abc") -> Ledger:
    ledger = Ledger(store, ROOT)
    for name in names:
        ledger.commit_train(name.encode(), logged_training(name))
    return ledger


def state_versions(store: Any) -> list[int]:
    return [int(key[6:14]) for key in store.list("state") if key.endswith(".npz")]


def test_tag_moves_and_keeps_its_history(place):
    store = open_store(place.root)
    tags = trained(store).tags
    tags.move("production", 2, by="user", reason="the first good one")
    tags.move("production", 3, by="run")
    tags.move("other", 1, by="user")
    tags.move("other", None, by="user")
    found = Ledger(store, ROOT).tags
    assert {name: tag.version for name, tag in found.named().items()} == {"production": 3}
    assert [(e.name, e.version, e.by) for e in found.entries] == [
        ("production", 2, "user"),
        ("production", 3, "run"),
        ("other", 1, "user"),
        ("other", None, "user"),
    ]
    assert found.entries[0].reason == "the first good one"
    assert found.target("production").version == 3
    assert found.target("other") is None


@pytest.mark.parametrize("name", ["production", "2026-11-28", "v1.2", "1.2", "a_b-c", "current"])
def test_names_of_tags(name):
    assert is_tag_name(name)


@pytest.mark.parametrize(
    "name", ["", "34", "newest", "none", ".hidden", "-v", "a/b", "a b", "é", "a\n", "x" * 101]
)
def test_other_names_are_refused(store, name):
    with pytest.raises(JobError, match="a tag has up to 100 letters"):
        trained(store).tags.move(name, 1, by="user")
    assert store.list("tags") == []


def test_tag_that_has_been_moved_since_it_was_read_is_not_moved(place):
    store = open_store(place.root)
    trained(store)
    ours, theirs = Ledger(store, ROOT).tags, Ledger(store, ROOT).tags
    seen = ours.move("production", 1, by="user")
    theirs.move("production", 2, by="user")
    with pytest.raises(ModelConflict, match="it names version 2; nothing was changed"):
        ours.move("production", 3, by="user", expect=seen)
    with pytest.raises(ModelConflict, match="it does not exist"):
        ours.move("new", 3, by="user", expect=seen)
    assert ours.get("production").version == 2


def test_of_two_that_move_a_tag_at_once_one_wins(store, monkeypatch):
    trained(store)
    ours, theirs = Ledger(store, ROOT).tags, Ledger(store, ROOT).tags
    real = LocalStore.create

    def overtaken(self: LocalStore, key: str, data: bytes) -> bool:
        monkeypatch.setattr(LocalStore, "create", real)
        theirs.move("production", 2, by="user")
        return real(self, key, data)

    monkeypatch.setattr(LocalStore, "create", overtaken)
    with pytest.raises(ModelConflict, match="it names version 2"):
        ours.move("production", 3, by="user")
    assert Ledger(store, ROOT).tags.get("production").version == 2


def test_tags_of_two_names_moved_at_once_are_both_set(place):
    store = open_store(place.root)
    trained(store)
    n, barrier, errors = 4, threading.Barrier(4), []

    def move(name: str) -> None:
        tags = Ledger(open_store(place.root), ROOT).tags
        barrier.wait()
        try:
            for version in (1, 2, 3):
                tags.move(name, version, by="user")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=move, args=(f"tag-{i}",)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    tags = Ledger(store, ROOT).tags
    tags.catch_up()
    assert len(tags.entries) == 3 * n
    assert {tag.version for tag in tags.named().values()} == {3}


def test_states_of_tagged_versions_are_kept_until_the_tag_moves(place):
    store = open_store(place.root)
    ledger = trained(store, "abc")
    Ledger(store, ROOT).tags.move("production", 1, by="user")
    for name in "defg":
        ledger.commit_train(name.encode(), logged_training(name))
    assert state_versions(store) == [1, 5, 6, 7]
    Ledger(store, ROOT).tags.move("production", 6, by="user")
    for name in "hij":
        ledger.commit_train(name.encode(), logged_training(name))
    assert state_versions(store) == [6, 8, 9, 10]
    assert store.list("state")[-1] != EXPIRING_KEY


def test_a_run_says_how_many_states_are_kept(store):
    ledger = trained(store, "abc")
    ledger.retention.keep_newest = 5
    for name in "defgh":
        ledger.commit_train(name.encode(), logged_training(name))
    assert state_versions(store) == [4, 5, 6, 7, 8]
    ledger.retention.keep_newest = 1
    ledger.commit_train(b"i", logged_training("i"))
    assert state_versions(store) == [9]


def test_state_that_is_tagged_while_a_run_deletes_it_is_kept_or_the_tag_is_refused(
    store, monkeypatch
):
    """At each step of the deletion somebody tags the state that is to be deleted."""
    monkeypatch.setattr(expiry, "_WAITS", 2)
    monkeypatch.setattr(expiry, "_WAIT_SECONDS", 0.0)
    outcomes = []
    for step in range(20):
        place = LocalStore(store.root / str(step))
        ledger, calls = trained(place), [0]
        refused: list[Exception] = []

        def stepped(real: Any, calls: Any = calls, step: int = step, refused: Any = refused) -> Any:
            def call(self: LocalStore, *args: Any, **options: Any) -> Any:
                calls[0] += 1
                if calls[0] - 1 == step:
                    try:
                        Ledger(self, ROOT).tags.move_kept("late", 1, by="user")
                    except JobError as error:
                        refused.append(error)
                return real(self, *args, **options)

            return call

        with monkeypatch.context() as patch:
            for name in ("put", "get", "list", "delete", "create"):
                patch.setattr(LocalStore, name, stepped(getattr(LocalStore, name)))
            ledger.commit_train(b"d", logged_training("d"))
        if calls[0] <= step:
            break
        found = Ledger(place, ROOT)
        is_tagged = found.tags.get("late") is not None
        assert is_tagged != bool(refused)
        assert not is_tagged or found.has_state(found.entries[0])
        outcomes.append(is_tagged)
    # Early enough the tag wins, and later the deletion does.
    assert set(outcomes) == {True, False}


def test_tag_is_taken_back_if_its_state_is_deleted_meanwhile(store, monkeypatch):
    ledger = trained(store)
    ledger.tags.move("production", 2, by="user")
    real = LocalStore.create

    def deleted(self: LocalStore, key: str, data: bytes) -> bool:
        self.delete(ledger.entries[0].state.key)
        return real(self, key, data)

    monkeypatch.setattr(LocalStore, "create", deleted)
    with pytest.raises(JobError, match="has deleted the state of version 1 meanwhile"):
        ledger.tags.move_kept("production", 1, by="user")
    tags = Ledger(store, ROOT).tags
    assert tags.get("production").version == 2
    assert [entry.version for entry in tags.entries] == [2, 1, 2]
    with pytest.raises(JobError, match="the state of version 1 is no longer kept"):
        ledger.tags.move_kept("production", 1, by="user")


@pytest.mark.parametrize("step", ["put", "get", "delete"])
def test_run_that_is_killed_while_it_deletes_leaves_the_rest_to_the_next(store, monkeypatch, step):
    ledger = trained(store)

    def killed(self: LocalStore, key: str, *args: Any, **options: Any) -> Any:
        if key == EXPIRING_KEY or key.startswith(("tags/", "state/00000001")):
            raise KeyboardInterrupt
        return real(self, key, *args, **options)

    real = getattr(LocalStore, step)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, step, killed)
        with pytest.raises(KeyboardInterrupt):
            ledger.commit_train(b"d", logged_training("d"))
    Ledger(store, ROOT).commit_train(b"e", logged_training("e"))
    assert state_versions(store) == [3, 4, 5]
    assert not store.exists(EXPIRING_KEY)


def test_full_disk_while_old_states_are_deleted_does_not_fail_a_commit(store, monkeypatch, caplog):
    ledger = trained(store)
    real = LocalStore.put

    def full(self: LocalStore, key: str, data: Any, **options: Any) -> None:
        if key == EXPIRING_KEY:
            raise OSError(28, "No space left on device")
        real(self, key, data, **options)

    monkeypatch.setattr(LocalStore, "put", full)
    ledger.commit_train(b"d", logged_training("d"))
    assert "cannot remove what is no longer needed" in caplog.text
    assert state_versions(store) == [1, 2, 3, 4]


def change(store: LocalStore, place: int, /, **fields: Any) -> None:
    path = store.root / tag_key(place)
    content = json.loads(path.read_text())
    content.pop("seal")
    path.write_bytes(sealed(json.dumps(content | fields, separators=(",", ":")).encode()))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"version": 2}, "names version 2, whose log entry is another one now"),
        ({"entry_sha256": "1" * 64}, "names version 3, whose log entry is another one now"),
        ({"version": 4}, "names version 4, whose log entry is another one now"),
        ({"version": None}, "a version without its digest"),
        ({"version": 0}, "greater than or equal to 1"),
        ({"version": 99}, "and the log ends at version 4"),
        ({"parent_sha256": "1" * 64}, "does not follow the tag before it"),
        ({"number": 2}, "does not follow the tag before it"),
        ({"name": "../../etc"}, "no name of a tag"),
        ({"name": "7"}, "no name of a tag"),
        ({"unknown": 1}, "is damaged or written by a newer onepass"),
        ({"reason": "x" * 1001}, "at most 1000 characters"),
    ],
)
def test_altered_tag_is_refused(store, fields, says):
    ledger = trained(store)
    ledger.commit_plan([])
    ledger.tags.move("production", 3, by="user")
    change(store, 1, **fields)
    tags = Ledger(store, ROOT).tags
    with pytest.raises(ForeignModel, match=says):
        tags.target("production")


def test_flipped_bit_missing_entry_and_strange_file_are_found(store):
    ledger = trained(store)
    for version in (1, 2, 3):
        ledger.tags.move("production", version, by="user")
    path = store.root / tag_key(2)
    sound = path.read_bytes()
    for damage, says in (
        (sound.replace(b'"version":2', b'"version":3'), "its content does not fit its seal"),
        (sound[: len(sound) // 2], "it has no seal"),
        (b"x" * (MAX_TAG_BYTES + 1), "expected at most 65,536 bytes"),
    ):
        path.write_bytes(damage)
        with pytest.raises(ForeignModel, match=says):
            Ledger(store, ROOT).tags.catch_up()
    path.unlink()
    with pytest.raises(
        ForeignModel, match=r"0002\.json is missing, though tags/.*3\.json is there"
    ):
        Ledger(store, ROOT).tags.catch_up()
    path.write_bytes(sound)
    (store.root / "tags" / "notes.txt").write_text("mine")
    with pytest.raises(ForeignModel, match=r"'tags/notes\.txt' is no tag"):
        Ledger(store, ROOT).tags.catch_up()


def test_tags_of_another_model_are_refused(store, tmp_path):
    trained(store).tags.move("production", 3, by="user")
    other = LocalStore(tmp_path / "other")
    trained(other, "xyz")
    other.put(tag_key(1), store.get(tag_key(1)))
    with pytest.raises(ForeignModel, match="whose log entry is another one now"):
        Ledger(other, ROOT).tags.target("production")
    empty = LocalStore(tmp_path / "empty")
    empty.put(tag_key(1), store.get(tag_key(1)))
    with pytest.raises(ForeignModel, match="does not follow the tag before it"):
        Ledger(empty, digest(b"another model.json")).tags.catch_up()


def test_tag_of_a_version_that_was_committed_after_the_log_was_read_is_found(store):
    reader, writer = Ledger(store, ROOT), trained(store)
    writer.tags.move("production", 3, by="run")
    assert reader.version == 0
    assert reader.tags.target("production").version == 3


def test_newest_tag_is_found_though_the_listing_lags(store, monkeypatch):
    ledger = trained(store)
    ledger.tags.move("production", 1, by="user")
    ledger.tags.move("production", 2, by="user")
    real = LocalStore.list
    monkeypatch.setattr(LocalStore, "list", lambda self, prefix: real(self, prefix)[:1])
    assert Ledger(store, ROOT).tags.get("production").version == 2


def test_model_without_tags_has_no_folder_of_them(store):
    ledger = trained(store, "abcdefg")
    assert ledger.tags.named() == {}
    assert not (store.root / "tags").exists()
