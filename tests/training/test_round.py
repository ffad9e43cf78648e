"""Rounds of several groups: the same bytes whoever learns them, and all or nothing of each."""

from __future__ import annotations

import json
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import corrupt_pages, number_table
from onepass import Job, evaluate, rewind, verify
from onepass.errors import BadPartition, ChangedPartition, Diverged, Interrupted, JobError
from onepass.ledger.entries import SkipEntry, TrainEntry
from onepass.model.directory import open_model
from onepass.model.file import parse_model_file
from onepass.stream.workers import Workers
from onepass.training import learn_group, resolve, round, share
from onepass.training.create import decide, survey_job
from places import copy_model
from recording import At, Recorder
from small import plan, train, train_pending

N_FILES = 14
"""With 4 groups at the same time: rounds of 1, 1, 1, 1, 2, 2, 4 and 2."""

ROUNDS = [1, 1, 1, 1, 2, 2, 4, 2]

KINDS: dict[str, dict[str, Any]] = {
    "numbers": {"loss": "squared"},
    "classes": {"label": "sign", "loss": "logistic"},
    "hashed": {"loss": "squared", "categorical": ["shop"], "hash_bits": 10},
    "shapes": {"loss": "squared", "cross": ["shop*level", "level*a"], "spline": ["b:5"]},
    "candidates": {"loss": "squared", "l2": [0.0, 0.1]},
    "fading": {"loss": "squared", "half_life": "6 partitions"},
    "interleaved": {"loss": "squared", "interleave": 2, "epochs": 2},
    "stored": {"loss": "squared", "order": "stored", "epochs": 2},
}


def write(path: Path, i: int, n_rows: int = 400) -> None:
    table = number_table(n_rows, seed=i)
    shops = np.random.default_rng(i).integers(0, 90, n_rows)
    table = table.append_column("shop", pa.array([f"shop {shop}" for shop in shops]))
    table = table.append_column("sign", pa.array(np.asarray(table["y"]) > 1))
    pq.write_table(table, path, row_group_size=150)


@pytest.fixture
def lake(tmp_path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    for i in range(N_FILES):
        write(folder / f"part-{i:02}.parquet", i)
    return folder


@pytest.fixture
def make_job(lake, tmp_path) -> Callable[..., dict[str, Any]]:
    def make(name: str = "model", **fields: Any) -> dict[str, Any]:
        label = fields.get("label", "y")
        left_out = [one for one in ("y", "sign", "shop") if one != label]
        left_out = [one for one in left_out if one not in fields.get("categorical", ())]
        job = {"lake": str(lake), "label": label, "model": str(tmp_path / name), "parallel": 4}
        return job | {"exclude": left_out, "solver": "newton"} | fields

    return make


def trained(job: dict[str, Any]) -> list[TrainEntry]:
    return open_model(job["model"]).ledger.history.trained()


def all_paths() -> list[str]:
    return [f"part-{i:02}.parquet" for i in range(N_FILES)]


def skipped(job: dict[str, Any]) -> list[str]:
    entries = open_model(job["model"]).ledger.history.line()
    return [entry.partition.path for entry in entries if isinstance(entry, SkipEntry)]


def with_threads(patch: pytest.MonkeyPatch, n: int) -> None:
    """Let this process learn so many shares at the same time."""
    patch.setattr(os, "cpu_count", lambda: n)
    if n == 1:
        # A process has two threads at least.
        patch.setattr(learn_group, "fit_shares", lambda *_: (1, 0))


def on_other_machines(patch: pytest.MonkeyPatch) -> list[int]:
    """Learn shares as on a cluster, from pickled values; returns the sizes of all rounds."""
    real, rounds = Workers.each, list[int]()

    def each(self: Workers, function: Any, shared: Any, tasks: Any, **options: Any) -> Any:
        sent, tasks = pickle.dumps((function, shared)), list(tasks)
        if function is share.learn_share:
            rounds.append(len(tasks))

        def call(_: None, task: bytes) -> bytes:
            function, shared = pickle.loads(sent)
            return pickle.dumps(function(shared, pickle.loads(task)))

        for answer in real(self, call, None, map(pickle.dumps, tasks), **options):
            yield pickle.loads(answer)

    patch.setattr(Workers, "each", each)
    patch.setattr(Workers, "is_cluster", True, raising=False)
    return rounds


ROWS_BEFORE = 400 * sum(ROUNDS[:6])
"""Rows learnt before the round of four."""


class AtRow(Recorder):
    """Acts once more than so many rows have been learnt."""

    def __init__(self, n_rows: int, action: Callable[[], object]) -> None:
        super().__init__()
        self.n_rows, self._until, self._action = 0, n_rows, action

    def advanced(self, n_rows: int) -> None:
        is_first = self.n_rows <= self._until < self.n_rows + n_rows
        self.n_rows += n_rows
        if is_first:
            self._action()


# -- the same bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_same_bytes_with_any_number_of_threads_and_on_other_machines(make_job, monkeypatch, kind):
    found: dict[str, list[Any]] = {}
    for n in (1, 2, 3, 7) if kind == "numbers" else (1, 3):
        with pytest.MonkeyPatch.context() as patch:
            with_threads(patch, n)
            job = make_job(f"threads-{n}", **KINDS[kind])
            train(job)
        found[f"{n} threads"] = [(e.partitions, e.round, e.state.sha256) for e in trained(job)]
    with pytest.MonkeyPatch.context() as patch:
        sizes = on_other_machines(patch)
        job = make_job("machines", **KINDS[kind])
        train(job)
    found["machines"] = [(e.partitions, e.round, e.state.sha256) for e in trained(job)]
    first = found["1 threads"]
    assert all(one == first for one in found.values())
    # Rounds of one group are shares as well there, so that no row travels.
    assert sizes == [len(entry.groups) for entry in trained(job)]
    assert max(sizes) >= 2


def test_same_bytes_with_any_memory_limit(make_job):
    limits = ("480MB", "600MB", "4GB")
    states = [train(make_job(limit, memory_limit=limit)).state_sha256 for limit in limits]
    assert len(set(states)) == 1


@pytest.mark.parametrize("kind", ["candidates", "interleaved", "hashed"])
def test_stopped_after_every_round_it_ends_in_the_same_bytes(make_job, kind):
    job, again = make_job(**KINDS[kind]), make_job("again", **KINDS[kind])
    train(job)
    plan(again)
    while train_pending({"model": again["model"]}, max_seconds=0).pending:
        pass
    assert [(e.partitions, e.round, e.state.sha256) for e in trained(again)] == [
        (e.partitions, e.round, e.state.sha256) for e in trained(job)
    ]


def test_rounds_begin_with_single_groups_and_are_one_version_each(make_job):
    job = make_job(epochs=2)
    report = train(job)
    entries = trained(job)
    assert [len(entry.groups) for entry in entries] == [*ROUNDS, 4, 4, 4, 2]
    assert [entry.round for entry in entries[:6]] == [[], [], [], [], [1, 1], [1, 1]]
    for epoch in (1, 2):
        paths = [one.path for e in entries if e.epoch == epoch for one in e.partitions]
        assert sorted(paths) == all_paths()
    assert [entry.rows for entry in entries] == [400 * len(entry.groups) for entry in entries]
    assert (report.partitions, report.rows) == (2 * N_FILES, 2 * 400 * N_FILES)


def test_rounds_of_one_are_todays_path_with_todays_bytes(make_job, monkeypatch):
    alone = make_job("alone", parallel=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(round, "learn_share", None)
        train(alone)
    assert all(entry.round == [] for entry in trained(alone))
    job = make_job()
    train(job)
    # Rounds of one group come first, and give the bytes of a model without larger rounds.
    states = [entry.state.sha256 for entry in trained(job)]
    assert states[:4] == [entry.state.sha256 for entry in trained(alone)][:4]
    assert states[-1] != trained(alone)[-1].state.sha256


def test_rounds_lose_nothing_on_unseen_rows(make_job, tmp_path):
    (tmp_path / "unseen").mkdir()
    write(tmp_path / "unseen" / "a.parquet", 99, 4000)
    losses = []
    for parallel in (1, 4):
        job = make_job(str(parallel), parallel=parallel)
        train(job)
        losses.append(evaluate(str(tmp_path / "unseen"), job["model"]).loss)
    assert losses[1] == pytest.approx(losses[0], rel=2e-4)


# -- lost states, rewinds, checks ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numbers", "hashed"])
def test_lost_states_of_rounds_are_learnt_again_to_the_same_bytes(make_job, kind):
    job = make_job(**KINDS[kind])
    expected, before = train(job), trained(job)
    assert any(entry.round for entry in before)
    for path in (Path(job["model"]) / "state").iterdir():
        path.unlink()
    recorder = Recorder()
    report = train({"model": job["model"]}, progress=recorder)
    assert report.state_sha256 == expected.state_sha256
    assert len(recorder.notes) == len(before)
    found = verify(job["model"])
    assert (found.sound, found.findings) == (True, [])


def test_verify_learns_the_newest_round_again(make_job):
    job = make_job()
    report = train(job)
    found = verify(job["model"], retrain=True)
    assert (found.sound, found.retrained, found.findings) == (True, report.version, [])


def test_after_a_rewind_without_a_file_rounds_are_as_if_it_had_been_bad(make_job, lake):
    job, other = make_job(), make_job("other", on_bad="skip")
    train(job)
    entries = trained(job)
    bad = entries[6].partitions[1].path
    rewind(job["model"], entries[5].version, exclude=[bad])
    report = train({"model": job["model"]})
    plan(other)
    corrupt_pages(lake / bad)
    expected = train(other)
    assert skipped(other) == [bad]
    assert report.state_sha256 == expected.state_sha256
    assert [e.partitions for e in trained(job)] == [e.partitions for e in trained(other)]


# -- bad and changed files -----------------------------------------------------------------------


def paths_of_round(job: dict[str, Any], number: int) -> list[str]:
    """Paths of a round that a model would learn; nothing of it is kept."""
    other = job | {"model": job["model"] + "-foreseen", "on_bad": "error"}
    train(other)
    return [partition.path for partition in trained(other)[number].partitions]


def test_all_bad_files_of_a_round_are_skipped_at_once_and_the_rest_is_learnt(
    make_job, lake, monkeypatch
):
    job = make_job()
    first, _, third, _ = paths_of_round(job, 6)
    plan(job)
    copy = job["model"] + "-copy"
    copy_model(job["model"], copy)
    corrupt_pages(lake / first)
    (lake / third).unlink()
    faults: list[list[bool]] = []
    real = Workers.each

    def each(*args: Any, **options: Any) -> Any:
        faults.append([])
        for one in real(*args, **options):
            faults[-1].append(one.error is not None)
            yield one

    monkeypatch.setattr(Workers, "each", each)
    report = train_pending({"model": job["model"], "on_bad": "skip"})
    assert skipped(job) == [first, third]
    assert (report.skipped, report.pending) == (2, 0)
    assert [one for one in faults if any(one)] == [[True, False, True, False]]
    paths = [one.path for entry in trained(job) for one in entry.partitions]
    assert sorted(paths) == sorted({*all_paths()} - {first, third})
    # A plan notices at once that a file is gone. It does not matter.
    train({"model": copy, "on_bad": "skip"})
    assert skipped({"model": copy}) == [third, first]
    assert [e.state.sha256 for e in trained({"model": copy})] == [
        e.state.sha256 for e in trained(job)
    ]


@pytest.mark.parametrize("harm", ["bad", "changed", "gone"])
def test_nothing_of_a_round_with_a_fault_is_committed_and_the_first_is_raised(make_job, lake, harm):
    job = make_job()
    paths = paths_of_round(job, 6)
    plan(job)
    for path in (paths[1], paths[2]):
        if harm == "bad":
            corrupt_pages(lake / path)
        elif harm == "changed":
            write(lake / path, 77, 333)
        else:
            (lake / path).unlink()
    kind = ChangedPartition if harm == "changed" else BadPartition
    seen = Recorder()
    with pytest.raises(kind) as caught:
        train_pending({"model": job["model"]}, progress=seen)
    assert caught.value.path == paths[1]
    assert [paths[2] in note for note in seen.notes] == [True]
    assert [len(entry.groups) for entry in trained(job)] == ROUNDS[:6]
    assert skipped(job) == []


def test_file_that_is_replaced_while_a_share_reads_it_is_not_learnt(make_job, lake):
    job = make_job()
    first = paths_of_round(job, 6)[0]

    def replace() -> None:
        # The share has the old file open, and reads it to its end.
        write(lake / "fresh", 77, 333)
        (lake / "fresh").replace(lake / first)

    with pytest.raises(ChangedPartition, match=f"{first} has changed since it was planned"):
        train(job, progress=AtRow(ROWS_BEFORE, replace))
    assert [len(entry.groups) for entry in trained(job)] == ROUNDS[:6]
    report = train({"model": job["model"], "on_changed": "retrain"})
    assert report.pending == 0
    paths = [one.path for entry in trained(job) for one in entry.partitions]
    assert sorted(paths) == all_paths()


# -- the end of a run in mid round ---------------------------------------------------------------


def test_interrupt_in_a_round_stops_the_shares_and_commits_nothing_of_it(make_job, interruptible):
    job = make_job()
    expected = train(make_job("whole"))

    def interrupt() -> None:
        assert threading.current_thread().name.startswith("onepass")
        os.kill(os.getpid(), signal.SIGINT)
        # The main thread takes the signal while shares go on.
        time.sleep(0.2)

    at = AtRow(ROWS_BEFORE, interrupt)
    with pytest.raises(Interrupted, match="version 7 is kept"):
        train(job, progress=at)
    assert [len(entry.groups) for entry in trained(job)] == ROUNDS[:6]
    # Of the 1,600 rows of the round, those of the blocks under way were learnt, and no more.
    assert at.n_rows <= ROWS_BEFORE + 3 * 128
    assert train({"model": job["model"]}).state_sha256 == expected.state_sha256


def test_rows_of_shares_are_reported_as_they_are_learnt_one_call_at_a_time(make_job):
    rows, under_way, threads = [], 0, set()

    def advance(n_rows: int) -> None:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        time.sleep(0.001)
        rows.append(n_rows)
        threads.add(threading.current_thread().name)
        under_way -= 1

    train(make_job(), progress=At("advanced", advance, call=None))
    assert sum(rows) == 400 * N_FILES
    assert max(rows) <= 128
    assert len(threads) == 3


def test_learner_that_diverges_in_a_share_ends_the_run_and_no_version_has_it(make_job, monkeypatch):
    job, real, calls = make_job(), share.learn_blocks, []

    def diverge(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise Diverged("the weights are no longer finite")
        return real(*args, **kwargs)

    monkeypatch.setattr(share, "learn_blocks", diverge)
    with pytest.raises(Diverged):
        train(job)
    assert [len(entry.groups) for entry in trained(job)] == ROUNDS[:5]


# -- the choice ----------------------------------------------------------------------------------


def test_number_of_groups_is_frozen_and_follows_from_the_lake(make_job):
    job = make_job(parallel="auto")
    train(job)
    assert open_model(job["model"]).file.job.parallel == 2
    hashed = make_job("hashed", parallel="auto", **KINDS["hashed"])
    train(hashed)
    assert open_model(hashed["model"]).file.job.parallel == 1
    with pytest.raises(JobError, match="parallel: the model has 2, this run asks for 4"):
        train({"model": job["model"], "parallel": 4})


def test_partitions_of_a_lake_that_is_grouped_by_label_are_learnt_alone(tmp_path, monkeypatch):
    for i in range(16):
        table = number_table(400, seed=i)
        table = table.append_column("late", pa.array([i < 8] * 399 + [i >= 8]))
        pq.write_table(table, tmp_path / f"part-{i:02}.parquet")

    def chosen(label: str, exclude: str, **fields: Any) -> Any:
        job = Job(
            lake=str(tmp_path), label=label, exclude=[exclude], model=str(tmp_path / "m"), **fields
        )
        return decide(job, survey_job(job))[0].parallel

    assert chosen("late", "y") == 1
    assert chosen("late", "y", parallel=4) == 4
    assert chosen("late", "y", interleave=2) == 1
    assert chosen("late", "y", loss="squared") == 4
    assert chosen("y", "late") == 4
    monkeypatch.setattr(resolve, "INTERLEAVE", 2)
    assert chosen("late", "y", interleave=2) == 2


def test_first_order_solvers_refuse_rounds_and_say_why(make_job):
    with pytest.raises(JobError, match=r"--parallel 4 cannot be used with --solver sgd: .* add up"):
        train(make_job(solver="sgd"))
    job = make_job("auto", solver="sgd", parallel="auto")
    train(job)
    assert open_model(job["model"]).file.job.parallel == 1


@pytest.mark.parametrize("given", [0, 1025, "many", 2.5, True, ""])
def test_other_numbers_are_refused_with_those_that_are_possible(make_job, given):
    with pytest.raises(JobError, match="parallel: expected auto or a whole number from 1 to 1024"):
        train(make_job(parallel=given))


# -- what users see ------------------------------------------------------------------------------


def test_commands_tell_the_rounds(make_job, lake, onepass):
    job = make_job()
    code, out, _ = onepass("inspect", lake, "--label", "y", "--exclude", "shop,sign")
    assert (code, "training learns up to 2 partitions at the same time" in out) == (0, True)
    flags = ["--label", "y", "--model", job["model"], "--parallel", "4"]
    code, out, err = onepass("train", lake, *flags, "--exclude", "shop,sign")
    assert code == 0
    assert f"trained {N_FILES} partitions in rounds of up to 4, " in out
    assert f"trained {N_FILES}/{N_FILES} partitions" in err
    _, out, _ = onepass("log", job["model"])
    assert [line for line in out.splitlines() if " and 3 more (round of 4) " in line]
    write(lake / "new.parquet", 99)
    _, out, _ = onepass("train", "--model", job["model"])
    assert "trained 1 partition, " in out


def test_model_made_before_goes_on_one_group_at_a_time(make_job):
    job = make_job(parallel=1)
    train(job)
    path = Path(job["model"]) / "model.json"
    content = json.loads(path.read_text())
    del content["job"]["parallel"]
    file = parse_model_file(json.dumps(content).encode(), "here")
    assert file.job.parallel == 1
