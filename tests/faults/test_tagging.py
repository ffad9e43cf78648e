"""Tags and the guard under faults: killed at each step, raced, and made by a stranger."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lakes import logged_training, number_table, write_files
from onepass import Model, tag, train, verify
from onepass.errors import VersionRefused
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import open_store
from onepass.model.directory import open_model
from onepass.model.evaluations import recorded
from onepass.training.session import open_session
from processes import run

KILLED = -signal.SIGKILL
REPEAT = int(os.environ.get("REPEAT", "1"))


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    lake = write_files(tmp_path / "lake", {f"p{i}.parquet": number_table(200, i) for i in range(3)})
    holdout = write_files(tmp_path / "holdout", {"h.parquet": number_table(300, 99)})
    fields = {"lake": str(lake), "label": "y", "holdout": str(holdout), "max_loss_increase": 0.05}
    return fields | {"model": str(tmp_path / "model"), "order": "stored", "parallel": 1}


@pytest.mark.parametrize(
    ("place", "n_writers"), [("local", 2), ("local", 5), ("s3", 2)], indirect=["place"]
)
def test_of_taggers_on_a_barrier_exactly_one_moves_the_tag(place, n_writers):
    store = open_store(place.root)
    ledger = Ledger(store, "0" * 64)
    for name in "abc":
        ledger.commit_train(name.encode(), logged_training(name))
    n_rounds = (60 if place.is_local else 16) if REPEAT == 1 else 500
    task = {"do": "race", "want": "tag", "place": place.root}
    task |= {"n_writers": n_writers, "n_rounds": n_rounds}
    [outcome] = run(task)
    assert outcome.code == 0, outcome.err
    assert outcome.value["winners"] == [1] * n_rounds
    # If one tagger won every round, they did not race.
    assert max(outcome.value["won"]) < n_rounds
    tags = Ledger(store, "0" * 64).tags
    tags.catch_up()
    assert [entry.version for entry in tags.entries] == [1 + i % 3 for i in range(n_rounds)]


def copies(job: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """Jobs of copies of a model."""
    found = []
    for i in range(n):
        model = f"{job['model']}-{i}"
        shutil.copytree(job["model"], model)
        found.append(job | {"model": model})
    return found


def test_tagger_killed_at_any_step_has_moved_the_tag_or_not(job):
    train(job)
    tag(job["model"], "production", 3)
    jobs = copies(job, 7)
    task = {"do": "act_or_die", "act": "tag", "name": "production", "version": 4}
    codes = [
        outcome.code
        for outcome in run(
            *(task | {"job": one, "call": i} for i, one in enumerate(jobs, start=1)), together=True
        )
    ]
    n_steps = codes.count(KILLED)
    assert codes == [KILLED] * n_steps + [0] * (len(jobs) - n_steps)
    assert 2 < n_steps < len(jobs)
    moved = []
    for one in jobs:
        report = verify(one["model"])
        assert report.sound
        assert {finding.part for finding in report.findings} <= {"leftover"}
        moves = [move.version for move in tag(one["model"], "production", 4).history]
        moved.append(moves[1:-1] == [4])
    # Killed early it has not moved, and killed late it has.
    assert (moved[0], moved[n_steps - 1], moved[-1]) == (False, True, True)


def test_guard_killed_at_any_step_refuses_in_the_end(job):
    """The run after a kill decides as if nothing had happened."""
    good = train(job)
    bad = number_table(3000, 5)
    write_files(Path(job["lake"]), {"p9.parquet": bad.set_column(4, "y", bad.column("a"))})
    with open_session(job) as session:
        session.train()
    jobs = copies(job, 10)
    task = {"do": "act_or_die", "act": "publish"}
    outcomes = run(
        *(task | {"job": one, "call": i} for i, one in enumerate(jobs, start=1)), together=True
    )
    codes = [outcome.code for outcome in outcomes]
    n_steps = codes.count(KILLED)
    assert codes == [KILLED] * n_steps + [5] * (len(jobs) - n_steps)
    assert 5 < n_steps < len(jobs)
    for one in jobs:
        assert verify(one["model"]).sound
        assert Model.load(one["model"]).version == good.version
        with suppress(VersionRefused):
            train(one)
        assert train(one).published.outcome == "refused"
        assert Model.load(one["model"]).version == good.version
        assert open_model(one["model"]).ledger.tags.get("refused").version == good.version + 2
        assert len(recorded(open_model(one["model"]).store)) == 2


def test_guard_and_hand_that_move_current_at_once_leave_one_of_both(job):
    train(job)
    for number in range(REPEAT):
        write_files(Path(job["lake"]), {f"q{number}.parquet": number_table(300, 50 + number)})
        with open_session(job) as session:
            session.train()
        before = Model.load(job["model"]).version
        publishing = {"do": "act_or_die", "act": "publish", "job": job, "call": -1}
        tagging = publishing | {"act": "tag", "name": "current", "version": before}
        outcomes = run(publishing, tagging, together=True)
        assert {outcome.code for outcome in outcomes} <= {0, 4}, outcomes
        assert verify(job["model"]).sound
        assert Model.load(job["model"]).version >= before
        tag(job["model"], "current", "newest")


def test_refused_model_scores_on_an_object_store(place, tmp_path):
    """The guard works the same way where there is no lock."""
    lake = write_files(tmp_path / "lake", {f"p{i}.parquet": number_table(200, i) for i in range(3)})
    holdout = write_files(tmp_path / "holdout", {"h.parquet": number_table(300, 99)})
    job = place.job(lake, "model") | {"holdout": str(holdout), "max_loss_increase": 0.05}
    good = train(job)
    bad = number_table(3000, 5)
    write_files(lake, {"p9.parquet": bad.set_column(4, "y", bad.column("a"))})
    job = place.job(lake, "model")
    with pytest.raises(VersionRefused):
        train(job)
    assert Model.load(job["model"]).version == good.version
    assert train(job).published.outcome == "refused"
    assert len(recorded(open_model(job["model"]).store)) == 2
    assert json.loads(tag(job["model"]).model_dump_json())["tags"][1]["name"] == "refused"
