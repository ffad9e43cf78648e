"""Killed anywhere, resumed: the same bytes as if nothing had happened."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from onepass.model.directory import model_exists, open_model
from processes import run
from small import train

KILLED = -signal.SIGKILL
REPEAT = int(os.environ.get("REPEAT", "1"))
SEED = int(os.environ.get("SEED", "0"))


def trained(model: str) -> list[str]:
    return [entry.partitions[0].path for entry in open_model(model).ledger.history.trained()]


def check_what_a_kill_has_left(model: str) -> None:
    """Nothing half-written under a name that counts, and each version with its state."""
    for path in Path(model).rglob("*.*"):
        assert path.suffix in {".tmp", ".lock"} or path.stat().st_size
    if model_exists(model):
        ledger = open_model(model).ledger
        for entry in ledger.history.trained():
            ledger.read_state(entry)


@pytest.fixture
def make_job(make_lake, tmp_path):
    """Jobs with several blocks per file, each with a model of its own."""

    def make(name: str, n_files: int = 4, *, classes: bool = False, **fields: Any) -> dict:
        lake = make_lake(n_files, classes=classes, name="classes" if classes else "numbers")
        return {"lake": str(lake), "label": "y", "model": str(tmp_path / name), **fields}

    return make


def test_killed_at_any_step_of_any_commit_loses_and_repeats_nothing(make_job):
    expected = train(make_job("uninterrupted", 2, solver="sgd"))
    jobs = [make_job(f"killed-{step}", 2, solver="sgd") for step in range(1, 37)]
    outcomes = run(
        *(
            {"do": "train_or_die", "job": job, "block_rows": 128, "die_at": "commit", "call": i}
            for i, job in enumerate(jobs, start=1)
        ),
        together=True,
    )
    codes = [outcome.code for outcome in outcomes]
    n_steps = codes.count(KILLED)
    assert codes == [KILLED] * n_steps + [0] * (len(jobs) - n_steps)
    assert 20 < n_steps < len(jobs)
    for job in jobs:
        check_what_a_kill_has_left(job["model"])
        before = trained(job["model"]) if model_exists(job["model"]) else []
        report = train(job)
        assert report.state_sha256 == expected.state_sha256
        assert trained(job["model"]) == trained(jobs[-1]["model"])
        assert report.partitions == 2 - len(before)


def test_killed_within_and_between_partitions_ends_in_the_same_bytes(make_job):
    deaths = [("advanced", 2), ("advanced", 10), ("committed", 1), ("advanced", 1)]
    tasks, expected = [], []
    for solver in ("newton", "sgd"):
        for loss in ("squared", "logistic"):
            fields = {"solver": solver, "loss": loss, "classes": loss == "logistic"}
            expected.append(train(make_job(f"whole-{solver}-{loss}", **fields)).state_sha256)
            job = make_job(f"killed-{solver}-{loss}", **fields)
            common = {"do": "train_or_die", "job": job, "block_rows": 128}
            tasks += [common | {"die_at": step, "call": n} for step, n in deaths] + [common]
    outcomes = run(*tasks)
    assert [o.code for o in outcomes] == [*[KILLED] * len(deaths), 0] * 4
    last = outcomes[len(deaths) :: len(deaths) + 1]
    assert [o.value["state_sha256"] for o in last] == expected
    for task in tasks[len(deaths) :: len(deaths) + 1]:
        model = task["job"]["model"]
        assert sorted(trained(model)) == [f"part-{i}.parquet" for i in range(4)]
        # Commits came before deaths; how many depends on how far the one in the background was.
        assert all(1 <= o.value["partitions"] < 4 for o in last)


@pytest.mark.parametrize("solver", ["newton", "sgd"])
def test_killed_at_random_times_nothing_acknowledged_is_lost(make_job, solver):
    """The long form, with the default REPEAT of 20, kills 320 processes."""
    expected = train(make_job("whole", 6, solver=solver))
    jobs = [make_job(f"killed-{i}", 6, solver=solver) for i in range(3)]
    n_kills = 8 * REPEAT
    task = {"do": "killed_at_random", "jobs": jobs, "n_kills": n_kills, "seed": SEED}
    [outcome] = run(task | {"block_rows": 128})
    assert outcome.code == 0, f"SEED={SEED}: {outcome.err}"
    found = outcome.value
    assert not found["wrong"], f"SEED={SEED}: {found}"
    assert found["kills"] >= n_kills
    assert set(found["states"]) == {expected.state_sha256}, f"SEED={SEED}: {found}"
