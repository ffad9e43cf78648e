"""The ledger: a chain that shows every alteration, and room for one writer only."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lakes import logged_partition, logged_training
from onepass.errors import ForeignModel, ModelConflict
from onepass.ledger.entries import dump_entry, load_entry
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import LocalStore
from onepass.ledger.trained import Trained
from onepass.partition import Group

ROOT = "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "model")


@pytest.fixture
def model(store: LocalStore) -> LocalStore:
    """A store with five versions: a plan of four partitions, three trained, one skipped."""
    ledger = Ledger(store, ROOT)
    ledger.commit_plan([Group(1, [logged_partition(name)]) for name in "abcd"])
    for name in "abc":
        ledger.commit_train(name.encode() * 9, logged_training(name))
    ledger.commit_skip(logged_partition("d"), "footer is damaged")
    return store


def log_file(store: LocalStore, version: int) -> Path:
    return store.root / f"log/{version:020d}.json"


def test_versions_come_back_as_committed(model):
    ledger = Ledger(model, ROOT)
    assert [entry.action for entry in ledger.entries] == ["plan", *["train"] * 3, "skip"]
    assert [entry.version for entry in ledger.entries] == [1, 2, 3, 4, 5]
    assert ledger.version == 5
    second, expected = ledger.history.trained()[1], dict(logged_training("b"))
    assert {name: getattr(second, name) for name in Trained.model_fields} == expected
    assert ledger.read_state(ledger.history.trained()[2]) == b"c" * 9
    assert ledger.history.decided()[-1].reason == "footer is damaged"


def test_edited_entry_is_noticed(model):
    for version in range(1, 5):
        whole = log_file(model, version).read_bytes()
        entry = load_entry(whole, "entry").model_copy(update={"time": "2001-01-01T00:00:00+00:00"})
        log_file(model, version).write_bytes(dump_entry(entry))
        with pytest.raises(ForeignModel, match=f"{version + 1:020d}.json does not follow"):
            Ledger(model, ROOT)
        log_file(model, version).write_bytes(whole)
    Ledger(model, ROOT)


def test_change_of_the_newest_entry_is_noticed_by_its_seal(model):
    whole = log_file(model, 4).read_bytes()
    log_file(model, 5).unlink()
    for changed in (
        whole.replace(b'"rows":10,"candidates"', b'"rows":11,"candidates"'),
        json.dumps(json.loads(whole)).encode(),
        whole.replace(b"}\n", b"} "),
        whole.replace(b',"seal":"', b',"Seal":"'),
        whole[: whole.index(b',"seal"')],
    ):
        assert changed != whole
        log_file(model, 4).write_bytes(changed)
        with pytest.raises(ForeignModel, match=r"4\.json is damaged"):
            Ledger(model, ROOT)


@pytest.mark.parametrize("version", [1, 3])
def test_removed_entry_is_noticed(model, version):
    log_file(model, version).unlink()
    with pytest.raises(ForeignModel, match=f"expected log/{version:020d}.json in the log"):
        Ledger(model, ROOT)


@pytest.mark.parametrize(("n_cut", "left"), [(3, "go on from version 2"), (5, "start anew")])
def test_log_whose_end_is_gone_is_refused_by_the_states_that_are_left(model, n_cut, left):
    for version in range(6 - n_cut, 6):
        log_file(model, version).unlink()
    says = (
        rf"{6 - n_cut:020d}.json is missing, though state/00000004.*has been cut off\n.*to {left}"
    )
    with pytest.raises(ForeignModel, match=says):
        Ledger(model, ROOT)
    for key in model.list("state")[-2:] if n_cut == 3 else model.list("state"):
        model.delete(key)
    assert Ledger(model, ROOT).version == 5 - n_cut


def test_state_of_the_version_after_the_newest_is_what_a_kill_leaves(model):
    for version in (4, 5):
        log_file(model, version).unlink()
    ledger = Ledger(model, ROOT)
    assert ledger.version == 3
    ledger.commit_train(b"anew", logged_training("c"))


def test_log_that_grows_while_it_is_opened_has_not_lost_its_end(model):
    writer = Ledger(model, ROOT)

    class Overtaken(LocalStore):
        def list(self, prefix: str) -> list[str]:
            found = super().list(prefix)
            for name in "efg":
                writer.commit_train(name.encode(), logged_training(name))
            return found

    opened = Ledger(Overtaken(model.root), ROOT)
    assert 5 < opened.version < writer.version


def test_listing_that_hides_the_newest_entries_is_not_taken_for_a_log_without_its_end(model):
    class Lagging(LocalStore):
        def list(self, prefix: str) -> list[str]:
            return super().list(prefix)[: 2 if prefix == "log" else None]

    assert Ledger(Lagging(model.root), ROOT).version == 2


def test_renumbered_entries_are_noticed(model):
    log_file(model, 3).unlink()
    for version in (4, 5):
        log_file(model, version).rename(log_file(model, version - 1))
    with pytest.raises(ForeignModel, match="does not follow"):
        Ledger(model, ROOT)


def test_swapped_entries_are_noticed(model):
    one, other = log_file(model, 3), log_file(model, 4)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    with pytest.raises(ForeignModel, match="does not follow"):
        Ledger(model, ROOT)


def test_log_of_another_model_is_noticed(model):
    with pytest.raises(ForeignModel, match="belongs to another model"):
        Ledger(model, "1" * 64)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"action": "train"}', b"[1]"])
def test_damaged_entry_is_named(model, content):
    log_file(model, 3).write_bytes(content)
    with pytest.raises(ForeignModel, match=f"{3:020d}.json is damaged"):
        Ledger(model, ROOT)


def test_second_writer_of_a_version_stops_and_takes_its_state_away(model):
    first, second = Ledger(model, ROOT), Ledger(model, ROOT)
    first.commit_train(b"first", logged_training("e"))
    before = sorted(path.name for path in (model.root / "state").iterdir())
    for commit in (
        lambda: second.commit_train(b"second", logged_training("e")),
        lambda: second.commit_plan([Group(1, [logged_partition("e")])]),
        lambda: second.commit_skip(logged_partition("e"), "bad"),
    ):
        with pytest.raises(ModelConflict, match="another writer has committed version 6"):
            commit()
    assert sorted(path.name for path in (model.root / "state").iterdir()) == before
    found = Ledger(model, ROOT)
    assert found.version == 6
    assert found.read_state(found.history.trained()[-1]) == b"first"


class LostAnswers(LocalStore):
    """Creates, but says that somebody else was there before."""

    def create(self, key: str, data: bytes) -> bool:
        super().create(key, data)
        return False


def test_own_entry_is_recognised_when_the_answer_was_lost(tmp_path):
    ledger = Ledger(LostAnswers(tmp_path), ROOT)
    ledger.commit_plan([Group(1, [logged_partition("a")])])
    ledger.commit_train(b"state", logged_training("a"))
    found = Ledger(LocalStore(tmp_path), ROOT)
    assert found.version == 2
    assert found.read_state(found.history.trained()[0]) == b"state"


def test_state_is_durable_before_the_log_names_it(store, monkeypatch):
    ledger = Ledger(store, ROOT)
    ledger.commit_train(b"first", logged_training("a"))
    steps = []
    for step in ("fsync", "link", "replace"):
        real = getattr(os, step)

        def recorded(first: Any, *rest: Any, real: Any = real, step: str = step) -> Any:
            path = rest[0] if rest else os.readlink(f"/proc/self/fd/{first}")
            steps.append((step, os.path.relpath(path, store.root).split(os.sep)[0]))
            return real(first, *rest)

        monkeypatch.setattr(os, step, recorded)
    ledger.commit_train(b"second", logged_training("b"))
    state = [("fsync", "state"), ("replace", "state"), ("fsync", "state")]
    assert steps == [*state, ("fsync", "log"), ("link", "log"), ("fsync", "log")]


def test_sound_states_are_found_past_damaged_ones_the_newest_first(model, caplog):
    ledger = Ledger(model, ROOT)
    first, before, newest = ledger.history.trained()
    assert list(ledger.sound_states()) == [
        (newest, b"c" * 9),
        (before, b"b" * 9),
        (first, b"a" * 9),
    ]
    (model.root / newest.state.key).write_bytes(b"c" * 8 + b"x")
    (model.root / before.state.key).unlink()
    assert list(ledger.sound_states()) == [(first, b"a" * 9)]
    assert f"{newest.state.key} is damaged" in caplog.text
    assert f"{before.state.key} is missing" in caplog.text
    assert list(ledger.sound_states([newest])) == []


def test_state_on_a_bad_sector_is_a_damaged_one_and_other_failures_are_told(model, monkeypatch):
    ledger = Ledger(model, ROOT)
    newest, before = ledger.history.trained()[2], ledger.history.trained()[1]
    real, failure = LocalStore.get, errno.EIO

    def get(self: LocalStore, key: str, **options: Any) -> bytes:
        if key == newest.state.key:
            raise OSError(failure, os.strerror(failure))
        return real(self, key, **options)

    monkeypatch.setattr(LocalStore, "get", get)
    assert next(ledger.sound_states()) == (before, b"b" * 9)
    with pytest.raises(ForeignModel, match=f"{newest.state.key} cannot be read: Input/output"):
        ledger.read_state(newest)
    failure = errno.EMFILE
    with pytest.raises(OSError, match="Too many open files"):
        next(ledger.sound_states())


def test_healing_takes_the_committed_bytes_only(model):
    ledger = Ledger(model, ROOT)
    newest = ledger.history.trained()[-1]
    (model.root / newest.state.key).unlink()
    with pytest.raises(ForeignModel, match="did not reproduce its state"):
        ledger.heal(newest, b"other bytes")
    ledger.heal(newest, b"c" * 9)
    assert ledger.read_state(newest) == b"c" * 9
