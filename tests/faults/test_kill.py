"""Killed anywhere, resumed: the same bytes as if nothing had happened."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from onepass.cloud.connect import forget
from onepass.errors import StoreUnavailable
from onepass.ledger.store import open_store
from onepass.model.directory import model_exists, open_model
from places import trained_paths
from processes import run
from recording import At
from s3 import Action, Proxy
from small import train

KILLED = -signal.SIGKILL
REPEAT = int(os.environ.get("REPEAT", "1"))
SEED = int(os.environ.get("SEED", "0"))

IN_ROUNDS = {"solver": "newton", "loss": "squared", "order": "stored", "parallel": 4}
"""Of the twelve files: four rounds of one, and four of two."""


def check_what_a_kill_has_left(model: str) -> None:
    """Nothing half-written under a name that counts, and each version with its state."""
    for path in Path(model).rglob("*.*"):
        assert path.suffix in {".tmp", ".lock"} or path.stat().st_size
    if model_exists(open_store(model)):
        ledger = open_model(model).ledger
        for entry in ledger.history.newest_states(3):
            ledger.read_state(entry)


@pytest.fixture
def make_job(make_lake, tmp_path):
    """Jobs with several blocks per file, each with a model of its own."""

    def make(name: str, n_files: int, **fields: Any) -> dict:
        lake = str(make_lake(n_files))
        return {"lake": lake, "label": "y", "model": str(tmp_path / name), **fields}

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
        before = trained_paths(job["model"]) if model_exists(open_store(job["model"])) else []
        report = train(job)
        assert report.state_sha256 == expected.state_sha256
        assert trained_paths(job["model"]) == trained_paths(jobs[-1]["model"])
        assert report.partitions == 2 - len(before)


def test_cut_off_after_any_write_to_a_store_resumes_to_the_same_bytes(
    bucket, make_lake, upload, s3_server, through, monkeypatch
):
    """The store does one write more than it can tell of; ``REPEAT`` above 1 tries every write.

    The first writes are those by which each run tests whether the store honours conditions.
    """
    lake = make_lake(3)
    job = {"lake": upload(lake, "lake"), "label": "y", "solver": "sgd"}
    expected = train(job | {"lake": str(lake), "model": str(lake.with_name("whole"))})
    step = 1 if REPEAT > 1 else 4
    n_writes, n_dead = 0, 0
    while True:
        model = f"{bucket}/models/{n_writes}"
        seen = 0

        def rule(method: str, path: str, alive: int = n_writes) -> Action:
            nonlocal seen
            seen += method in {"PUT", "POST"}
            return "pass" if seen <= alive else ("cut" if seen == alive + 1 else "lose")

        with Proxy(s3_server.url, rule) as proxy, pytest.MonkeyPatch.context() as patch:
            through(proxy)
            patch.setenv("ONEPASS_STORE_DEADLINE", "0.1")
            patch.setenv("ONEPASS_STORE_TIMEOUT", "0.5")
            forget()
            try:
                train(job | {"model": model})
            except StoreUnavailable:
                n_dead += 1
            finished = seen <= n_writes
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
        forget()
        assert train(job | {"model": model}).state_sha256 == expected.state_sha256
        assert sorted(trained_paths(model)) == sorted(path.name for path in lake.iterdir())
        if finished:
            break
        n_writes += step
    assert n_dead >= 9 // step


@pytest.mark.parametrize(
    ("solver", "loss"), [("newton", "logistic"), ("sgd", "squared")], ids=["newton", "sgd"]
)
def test_killed_within_and_between_partitions_ends_in_the_same_bytes(
    place, make_lake, tmp_path, solver, loss
):
    lake = make_lake(4, classes=loss == "logistic")
    job = place.job(lake, solver=solver, loss=loss)
    expected = train(job | {"lake": str(lake), "model": str(tmp_path / "whole")})
    deaths = [("advanced", 2), ("advanced", 10), ("committed", 1), ("advanced", 1)]
    common = {"do": "train_or_die", "job": job, "block_rows": 128}
    outcomes = run(*(common | {"die_at": step, "call": n} for step, n in deaths), common)
    assert [outcome.code for outcome in outcomes] == [KILLED] * len(deaths) + [0]
    assert outcomes[-1].value["state_sha256"] == expected.state_sha256
    # Commits came before deaths; how many depends on how far the one in the background was.
    assert 1 <= outcomes[-1].value["partitions"] < 4
    assert sorted(trained_paths(job["model"])) == sorted(path.name for path in lake.iterdir())
    ledger = open_model(job["model"]).ledger
    assert all(ledger.read_state(entry) for entry in ledger.history.trained()[-3:])


def test_killed_at_any_block_of_a_round_ends_in_the_same_bytes_and_no_part_of_it_counts(make_job):
    """Shares of a round die with their process. ``REPEAT`` above 1 kills at every block."""
    whole, blocks = make_job("whole", 12, **IN_ROUNDS), []
    expected = train(whole, progress=At("advanced", blocks.append, call=None))
    rounds = [entry.partitions for entry in open_model(whole["model"]).ledger.history.trained()]
    assert [len(partitions) for partitions in rounds] == [1, 1, 1, 1, 2, 2, 2, 2]
    # Rounds of more than one group learn most of the blocks.
    calls = range(10, len(blocks), 1 if REPEAT > 1 else len(blocks) // 9)
    jobs = [make_job(f"killed-{call}", 12, **IN_ROUNDS) for call in calls]
    outcomes = run(
        *(
            {"do": "train_or_die", "job": job, "block_rows": 128, "die_at": "advanced", "call": i}
            for i, job in zip(calls, jobs, strict=True)
        ),
        together=True,
    )
    assert {outcome.code for outcome in outcomes} == {KILLED}
    n_before = []
    for job in jobs:
        check_what_a_kill_has_left(job["model"])
        before = open_model(job["model"]).ledger.history.trained()
        assert [entry.partitions for entry in before] == rounds[: len(before)]
        n_before.append(len(before))
        assert train(job).state_sha256 == expected.state_sha256
        after = open_model(job["model"]).ledger.history.trained()
        assert [entry.partitions for entry in after] == rounds
    # Some died in a round of two groups. Commits are written in the background, so how many are in
    # the log at the same block differs by one or two from run to run.
    assert set(n_before) & {4, 5, 6, 7}


@pytest.mark.parametrize(
    "fields", [{"solver": "newton"}, {"solver": "sgd"}, IN_ROUNDS], ids=["newton", "sgd", "rounds"]
)
def test_killed_at_random_times_nothing_acknowledged_is_lost(make_job, fields):
    """The long form, with the default REPEAT of 20, kills 480 processes."""
    n_files = 12 if fields is IN_ROUNDS else 6
    expected = train(make_job("whole", n_files, **fields))
    jobs = [make_job(f"killed-{i}", n_files, **fields) for i in range(3)]
    n_kills = 8 * REPEAT
    task = {"do": "killed_at_random", "jobs": jobs, "n_kills": n_kills, "seed": SEED}
    [outcome] = run(task | {"block_rows": 128})
    assert outcome.code == 0, f"SEED={SEED}: {outcome.err}"
    found = outcome.value
    assert not found["wrong"], f"SEED={SEED}: {found}"
    assert found["kills"] >= n_kills
    assert set(found["states"]) == {expected.state_sha256}, f"SEED={SEED}: {found}"
