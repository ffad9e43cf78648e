"""Two writers of one model: one goes on, the other stops, and nothing is trained twice."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from onepass.errors import ModelConflict
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import LocalStore, open_store
from places import check_sound
from processes import run
from recording import At
from small import plan, train

REPEAT = int(os.environ.get("REPEAT", "1"))


@pytest.fixture
def lake(make_lake) -> Path:
    return make_lake(4)


@pytest.fixture
def job(lake, tmp_path) -> dict[str, Any]:
    return {"lake": str(lake), "label": "y", "model": str(tmp_path / "model")}


@pytest.mark.parametrize(
    ("place", "n_writers"), [("local", 2), ("local", 5), ("s3", 2)], indirect=["place"]
)
def test_of_writers_on_a_barrier_exactly_one_commits_each_version(place, n_writers):
    # A round of requests to the server takes far longer than one of system calls.
    n_rounds = (100 if place.is_local else 20) if REPEAT == 1 else 500
    task = {"do": "race", "want": "version", "place": place.root}
    task |= {"n_writers": n_writers, "n_rounds": n_rounds}
    [outcome] = run(task)
    assert outcome.code == 0, outcome.err
    assert outcome.value["winners"] == [1] * n_rounds
    # If one writer won every round, the writers did not race.
    assert min(outcome.value["won"]) > 0
    store = open_store(place.root)
    ledger = Ledger(store, "0" * 64)
    assert ledger.version == n_rounds
    newest = {entry.state.key for entry in ledger.history.trained()[-3:]}
    named = {e.state.key for e in ledger.history.trained() if ledger.retention.keeps(e)}
    assert newest <= set(store.list("state")) == named


@pytest.mark.parametrize("created", [True, False], ids=["existing", "new"])
@pytest.mark.parametrize(
    ("place", "locked"),
    [("local", True), ("local", False), ("s3", False)],
    indirect=["place"],
    ids=["local-locked", "local-by-the-fence-alone", "s3"],
)
def test_of_two_trainings_at_once_one_finishes_and_one_stops(place, job, lake, locked, created):
    expected = train(job)
    job = place.job(lake, "raced")
    if created:
        plan(job)
    task = {"do": "train_or_die", "job": job, "sleep": 0.05, "block_rows": 128, "locked": locked}
    outcomes = run(task, task, together=True)
    assert sorted(outcome.code for outcome in outcomes) == [0, 4]
    loser = next(outcome for outcome in outcomes if outcome.code == 4)
    says = "is training the model" if locked else "another writer has committed version"
    assert says in loser.err
    check_sound(job["model"], lake, expected.state_sha256)


def test_stale_writer_is_refused_by_the_fence_alone(place, job, lake, monkeypatch):
    monkeypatch.setattr(LocalStore, "exclusive", lambda self: nullcontext())
    expected = train(job)
    job = place.job(lake, "raced")
    others = []
    overtaken = At("committed", lambda _: others.append(train(job)))
    with pytest.raises(ModelConflict, match="another writer has committed version 3"):
        train(job, progress=overtaken)
    assert [other.partitions for other in others] == [3]
    check_sound(job["model"], lake, expected.state_sha256)


def test_command_tells_who_holds_the_model_and_exits_with_four(job, onepass):
    plan(job)
    with LocalStore(job["model"]).exclusive():
        code, out, err = onepass("train", "--model", job["model"])
    assert (code, out) == (4, "")
    assert err == (
        f"onepass: process {os.getpid()} is training the model in {job['model']!r}; "
        "wait until it has finished, then run again\n"
    )


def test_reading_commands_do_not_wait_for_a_writer(job, onepass):
    train(job)
    with LocalStore(job["model"]).exclusive():
        assert onepass("evaluate", job["lake"], "--model", job["model"])[0] == 0
        assert onepass("log", job["model"])[0] == 0
