"""What killed runs leave is cleared away, and nothing else is."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lakes import number_table, write_files
from onepass import plan, train, verify
from onepass.ledger.leftovers import GRACE_SECONDS, leftovers, sweep
from onepass.model.directory import OpenModel, open_model
from processes import run

OTHER = "0123456789abcdef" * 2


@pytest.fixture
def job(make_lake, tmp_path) -> dict[str, Any]:
    job = {"lake": str(make_lake(4)), "label": "y", "model": str(tmp_path / "model")}
    train(job)
    return job


def put(model: OpenModel, key: str, age: float = 2 * GRACE_SECONDS) -> Path:
    path = model.store.root / key
    path.write_bytes(b"something")
    os.utime(path, (time.time() - age,) * 2)
    return path


LEFT = [
    f"model.json.{OTHER}.tmp",
    f"log/00000000000000000003.json.{OTHER}.tmp",
    f"state/00000003-{OTHER}.npz.{OTHER}.tmp",
    f"state/00000003-{OTHER}.npz",
]

NOT_LEFT = [
    "notes.tmp",
    f"log/3.json.{OTHER}.tmp",
    f"log/00000000000000000003.json.{OTHER[:-1]}.tmp",
    f"state/mine.{OTHER}.tmp",
    "state/00000003-mine.npz",
    f"state/00000003-{OTHER.upper()}.npz",
    f"state/00000000-{OTHER}.npz",
    # Of the version that comes next: its entry may be under way, or have been cut off.
    f"state/00000006-{OTHER}.npz",
]


def test_old_leftovers_are_removed_by_the_next_run_and_nothing_else(job):
    model = open_model(job["model"])
    left = [put(model, key) for key in LEFT]
    kept = [put(model, key) for key in NOT_LEFT]
    kept += [model.store.root / e.state.key for e in model.ledger.history.trained()[-3:]]
    train(job)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)


def test_young_leftovers_stay(job):
    model = open_model(job["model"])
    paths = [put(model, key, age) for key in LEFT for age in (0.0,)]
    put(model, LEFT[0], GRACE_SECONDS - 60)
    assert sweep(model.store, model.ledger) == []
    assert all(path.exists() for path in paths)
    put(model, LEFT[0], -GRACE_SECONDS)
    assert sweep(model.store, model.ledger) == []
    assert {one.key for one in leftovers(model.store, model.ledger)} == set(LEFT)
    assert sorted(sweep(model.store, model.ledger, grace_seconds=-1e9)) == sorted(LEFT)


def test_links_and_folders_are_no_leftovers(job, tmp_path):
    model = open_model(job["model"])
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (model.store.root / LEFT[1]).symlink_to(precious)
    (model.store.root / LEFT[3]).mkdir()
    assert sweep(model.store, model.ledger, grace_seconds=-1e9) == []
    assert precious.read_text() == "kept"


def test_reading_removes_nothing(job, onepass):
    model = open_model(job["model"])
    paths = [put(model, key) for key in LEFT]
    for command in ("verify", "log", "summary"):
        assert onepass(command, job["model"])[0] == 0
    assert all(path.exists() for path in paths)


def test_what_a_kill_leaves_is_known_for_what_it_is(tmp_path):
    lake = write_files(tmp_path / "lake", {f"{i}.parquet": number_table(200, i) for i in range(3)})
    jobs = [{"lake": str(lake), "label": "y", "model": str(tmp_path / f"m{i}")} for i in range(8)]
    for job in jobs:
        plan(job)
    outcomes = run(
        *(
            {"do": "train_or_die", "job": job, "die_at": "commit", "call": call}
            for call, job in enumerate(jobs, start=1)
        )
    )
    assert {outcome.code for outcome in outcomes} == {-signal.SIGKILL}
    n_left = 0
    for job in jobs:
        train(job)
        model = open_model(job["model"])
        left = {one.key for one in leftovers(model.store, model.ledger)}
        n_left += len(left)
        report = verify(job["model"])
        assert report.sound
        assert {f.where for f in report.findings if f.part == "leftover"} == left
        sweep(model.store, model.ledger, grace_seconds=-1e9)
        model = open_model(job["model"])
        named = {e.state.key for e in model.ledger.history.trained()}
        assert set(model.store.list("state")) == named
        assert not list(Path(job["model"]).rglob("*.tmp"))
    assert n_left >= 4
