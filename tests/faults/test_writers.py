"""Two writers of one model: one goes on, the other stops, and nothing is trained twice."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from onepass.errors import ModelConflict
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import LocalStore
from onepass.model.directory import open_model
from onepass.training.progress import Progress
from processes import run
from small import plan, train

REPEAT = int(os.environ.get("REPEAT", "1"))


@pytest.fixture
def job(make_lake, tmp_path) -> dict[str, Any]:
    return {"lake": str(make_lake(4)), "label": "y", "model": str(tmp_path / "model")}


def check_sound(job: dict[str, Any], expected_sha256: str | None) -> None:
    """Each partition once, the chain whole, the newest three states there and no other."""
    ledger = open_model(job["model"]).ledger
    trained = [entry.partitions[0].path for entry in ledger.history.trained()]
    assert sorted(trained) == [f"part-{i}.parquet" for i in range(4)]
    kept = [entry.state.key for entry in ledger.history.trained()[-3:]]
    assert sorted(os.listdir(Path(job["model"]) / "state")) == [Path(key).name for key in kept]
    for entry in ledger.history.trained()[-3:]:
        ledger.read_state(entry)
    assert ledger.history.trained()[-1].state.sha256 == expected_sha256


@pytest.mark.parametrize("n_writers", [2, 5])
def test_of_writers_on_a_barrier_exactly_one_commits_each_version(tmp_path, n_writers):
    n_rounds = 100 if REPEAT == 1 else 500
    task = {"do": "race", "folder": str(tmp_path), "n_writers": n_writers, "n_rounds": n_rounds}
    [outcome] = run(task)
    assert outcome.code == 0, outcome.err
    assert outcome.value["winners"] == [1] * n_rounds
    # A race that one writer always wins is none.
    assert min(outcome.value["won"]) > 0
    ledger = Ledger(LocalStore(tmp_path), "0" * 64)
    assert ledger.version == n_rounds
    newest = {Path(entry.state.key).name for entry in ledger.history.trained()[-3:]}
    named = {Path(e.state.key).name for e in ledger.history.trained() if ledger.retention.keeps(e)}
    assert newest <= set(os.listdir(tmp_path / "state")) == named


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "by the fence alone"])
@pytest.mark.parametrize("created", [True, False], ids=["existing", "new"])
def test_of_two_trainings_at_once_one_finishes_and_one_stops(job, locked, created):
    expected = train(job | {"model": job["model"] + "-alone"})
    if created:
        plan(job)
    task = {"do": "train_or_die", "job": job, "sleep": 0.05, "block_rows": 128, "locked": locked}
    outcomes = run(task, task, together=True)
    assert sorted(outcome.code for outcome in outcomes) == [0, 4]
    loser = next(outcome for outcome in outcomes if outcome.code == 4)
    says = "is training the model" if locked else "another writer has committed version"
    assert says in loser.err
    check_sound(job, expected.state_sha256)


def test_stale_writer_is_refused_by_the_fence_alone(job, monkeypatch):
    monkeypatch.setattr(LocalStore, "exclusive", lambda self: nullcontext())
    expected = train(job | {"model": job["model"] + "-alone"})

    class Overtaken(Progress):
        done = False

        def committed(self, entry: Any, total: Any) -> None:
            if not self.done:
                self.done = True
                assert train(job).partitions == 3

    with pytest.raises(ModelConflict, match="another writer has committed version 3"):
        train(job, progress=Overtaken())
    check_sound(job, expected.state_sha256)


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
