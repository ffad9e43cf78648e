"""Before a run trains, tags are sound, and a guarded run has a version to fall back to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakes import logged_training
from onepass.job import Job
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import LocalStore
from onepass.training.current import follow_rewind, prepare

GUARDED = Job(lake="lake", label="y", model="model", max_loss_increase=0.05, keep_states=2)
PLAIN = GUARDED.model_copy(update={"max_loss_increase": None})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(LocalStore(tmp_path), "0" * 64)
    for name in "abcd":
        ledger.commit_train(name.encode(), logged_training(name))
    return ledger


def test_guarded_run_names_the_newest_version_unless_one_is_named(ledger):
    prepare(ledger, PLAIN)
    assert ledger.tags.get("current") is None
    prepare(ledger, GUARDED)
    assert ledger.tags.get("current").version == 4
    ledger.commit_train(b"e", logged_training("e"))
    prepare(ledger, GUARDED)
    assert (ledger.tags.get("current").version, len(ledger.tags.entries)) == (4, 1)


def test_guarded_run_of_an_untrained_model_names_nothing(tmp_path):
    empty = Ledger(LocalStore(tmp_path / "empty"), "0" * 64)
    prepare(empty, GUARDED)
    assert empty.tags.entries == []


def test_run_says_how_many_states_are_kept(ledger):
    prepare(ledger, PLAIN)
    ledger.commit_train(b"e", logged_training("e"))
    assert [entry.version for entry in ledger.retention.stored()] == [4, 5]


def test_current_follows_each_rewind_once(ledger):
    ledger.tags.move("current", 4, by="run")
    ledger.commit_rewind(2)
    follow_rewind(ledger)
    assert ledger.tags.get("current").version == 2
    ledger.tags.move("current", 4, by="user")
    follow_rewind(ledger)
    assert ledger.tags.get("current").version == 4
    ledger.commit_rewind(0)
    follow_rewind(ledger)
    assert ledger.tags.get("current") is None
    assert [tag.version for tag in ledger.tags.entries] == [4, 2, 4, None]
