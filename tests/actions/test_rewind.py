"""Rewind: an earlier version counts again, exactly, and training goes on from it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import Model, evaluate, refine, rewind, score, verify
from onepass.errors import DataError, ForeignModel, JobError, ModelNotFound
from onepass.ledger.entries import LearntEntry, SkipEntry, TrainEntry
from onepass.ledger.ledger import Ledger
from onepass.model.directory import open_model
from onepass.training.session import open_session
from recording import Recorder
from small import train, train_pending

N_FILES = 5

JOBS = {
    "newton": {},
    "sgd-classes": {"solver": "sgd", "classes": True},
    "linear-schedule": {"solver": "adagrad", "schedule": "linear"},
    "candidates": {"solver": "sgd", "learning_rate": [0.001, 0.1]},
    "epochs-interleaved": {"solver": "nag", "epochs": 2, "interleave": 2},
    "half-life": {"half_life": "3 partitions"},
}


@pytest.fixture
def make_job(make_lake, tmp_path):
    def make(kind: str = "newton", name: str = "model", **more: Any) -> dict[str, Any]:
        fields = dict(JOBS[kind])
        classes = bool(fields.pop("classes", False))
        lake = make_lake(N_FILES, 300, classes=classes, name=f"lake-{kind}")
        return {"lake": str(lake), "label": "y", "model": str(tmp_path / name), **fields, **more}

    return make


def ledger(job: dict[str, Any]) -> Ledger:
    return open_model(job["model"]).ledger


def names(job: dict[str, Any]) -> list[str]:
    return [p.path for entry in ledger(job).history.trained() for p in entry.partitions]


def states(job: dict[str, Any]) -> set[int]:
    return {int(name[:8]) for name in os.listdir(Path(job["model"]) / "state")}


def counting(found: Ledger) -> Any:
    """What counts of a ledger: state, trained set, pending plan, rows for the horizon."""
    learnt = found.history.learnt()
    return (
        learnt[-1].state.sha256 if learnt else None,
        {
            (e.epoch, p)
            for e in found.history.decided()
            if isinstance(e, TrainEntry)
            for p in e.partitions
        },
        [e.partition for e in found.history.decided() if isinstance(e, SkipEntry)],
        found.history.pending(),
    )


# -- what counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", JOBS)
def test_rewound_at_any_version_it_is_as_it_was_then_and_ends_in_the_same_bytes(make_job, kind):
    job = make_job(kind)
    recorder = Recorder(job["model"])
    expected = train(job, progress=recorder).state_sha256
    n_versions = ledger(job).version
    for version in range(n_versions - 1, -1, -1):
        report = rewind(job["model"], version)
        assert report.version == ledger(job).version
        if version in recorder.copies:
            then, now = open_model(recorder.copies[version]), open_model(job["model"])
            assert counting(now.ledger) == counting(then.ledger)
            here, there = (m.ledger.history.planned_rows() for m in (now, then))
            assert here == there
            assert report.state_sha256 == counting(then.ledger)[0]
        trained = train(job)
        assert trained.state_sha256 == expected
        assert trained.partitions == sum(
            len(e.partitions) for e in ledger(job).history.trained() if e.version > report.version
        )
    assert verify(job["model"], retrain=True).exit_code == 0


def test_rewound_before_the_first_partition_the_model_is_untrained(make_job):
    job = make_job()
    expected = train(job)
    for version in (0, 1):
        report = rewind(job["model"], version)
        assert (report.state_sha256, report.partitions, report.rows) == (None, 0, 0)
        assert (report.pending > 0) == (version == 1)
        with pytest.raises(ModelNotFound, match="no usable version"):
            Model.load(job["model"])
        assert verify(job["model"]).exit_code == 0
        again = train(job)
        assert (again.state_sha256, again.partitions) == (expected.state_sha256, N_FILES)


def test_a_rewind_can_be_rewound_without_reading_the_lake(make_job):
    job = make_job()
    expected = train(job)
    rewind(job["model"], 3)
    shutil.move(job["lake"], job["lake"] + "-away")
    report = rewind(job["model"], expected.version)
    assert (report.state_sha256, report.retrained) == (expected.state_sha256, [])
    assert (report.rows, report.partitions) == (expected.rows, expected.partitions)
    rewind(job["model"], expected.version + 1)
    assert ledger(job).history.learnt()[-1].version == 3


def test_readers_use_the_rewound_version(make_job, onepass, tmp_path):
    job = make_job()
    recorder = Recorder(job["model"])
    train(job, progress=recorder)
    out = tmp_path / "out"
    newest = score(job["lake"], job["model"], out)
    rewind(job["model"], 4)
    then, now = Model.load(recorder.copies[4]), Model.load(job["model"])
    rows = number_table(50, 99)
    assert np.array_equal(then.predict(rows), now.predict(rows))
    assert (now.version, now.rows) == (then.version, then.rows) == (4, now.rows)
    losses = [evaluate(job["lake"], one).loss for one in (recorder.copies[4], job["model"])]
    assert losses[0] == losses[1]
    assert score(job["lake"], job["model"], out).partitions == newest.partitions == N_FILES
    assert (
        onepass("summary", job["model"])[1].splitlines()[1:]
        == (onepass("summary", recorder.copies[4])[1].splitlines()[1:])
    )
    printed = onepass("log", job["model"])[1]
    assert printed.count("undone by 7") == 2
    assert "to version 4" in printed


def test_refinement_can_be_undone_and_gone_back_to(make_job):
    job = make_job()
    before = train(job)
    refined = refine({"model": job["model"]}, n_passes=3)
    assert rewind(job["model"], before.version).state_sha256 == before.state_sha256
    assert rewind(job["model"], refined.version).state_sha256 == refined.state_sha256
    assert refine({"model": job["model"]}, n_passes=3).rows == before.rows


def test_plan_made_after_a_rewind_is_that_of_a_model_that_never_went_on(make_job):
    job, other = make_job(), make_job(name="other")
    lake, later = Path(job["lake"]), Path(job["lake"]).with_name("later")
    later.mkdir()
    for name in ("part-2.parquet", "part-3.parquet", "part-4.parquet"):
        shutil.move(lake / name, later / name)
    first = train(job)
    train(other)
    bad = lake / "part-9.parquet"
    pq.write_table(number_table(200, 9), bad)
    train(job)
    bad.unlink()
    rewind(job["model"], first.version)
    for name in os.listdir(later):
        shutil.move(later / name, lake / name)
    assert train(job).state_sha256 == train(other).state_sha256


# -- what is left out ----------------------------------------------------------------------------


def test_excluded_partitions_are_logged_and_the_model_never_saw_them(make_job):
    job = make_job(order="stored")
    other = make_job(name="other", order="stored")
    train(job)
    report = rewind(job["model"], 2, exclude=["part-[13]*", "part-4.parquet"])
    left_out = ["part-1.parquet", "part-3.parquet", "part-4.parquet"]
    assert report.excluded == left_out
    skips = [e for e in ledger(job).entries if isinstance(e, SkipEntry)]
    assert [e.partition.path for e in skips] == left_out
    assert {e.reason for e in skips} == {
        "excluded by the rewind to version 2: part-[13]*, part-4.parquet"
    }
    trained = train(job)
    assert names(job) == ["part-0.parquet", "part-2.parquet"]
    assert train(job).partitions == 0
    for name in left_out:
        (Path(job["lake"]) / name).unlink()
    # The same model, with the same scales from the same sample, that has seen the other files only.
    Path(other["model"]).mkdir()
    shutil.copy(Path(job["model"]) / "model.json", other["model"])
    assert trained.state_sha256 == train({"model": other["model"]}).state_sha256


def test_excluded_before_the_first_plan_and_of_files_that_the_ledger_does_not_know(make_job):
    job = make_job()
    train(job)
    pq.write_table(number_table(100, 50), Path(job["lake"]) / "part-new.parquet")
    rewind(job["model"], 0, exclude=["part-new*", "part-0.parquet"])
    train(job)
    assert sorted(names(job)) == [f"part-{i}.parquet" for i in range(1, N_FILES)]


def test_repaired_file_is_trained_though_its_old_content_was_excluded(make_job):
    job = make_job()
    train(job)
    path = Path(job["lake"]) / "part-1.parquet"
    rewind(job["model"], 0, exclude=["part-1.parquet"])
    train(job)
    assert "part-1.parquet" not in names(job)
    pq.write_table(number_table(77, 1), path)
    assert train(job).rows == 77


@pytest.mark.parametrize("on_changed", ["skip", "retrain"])
def test_bad_new_content_of_a_learnt_file_can_be_excluded(make_job, on_changed):
    job = make_job()
    good = train(job)
    pq.write_table(number_table(77, 1), Path(job["lake"]) / "part-1.parquet")
    train(job | {"on_changed": "retrain"})
    report = rewind(job["model"], good.version, exclude=["part-1.parquet"])
    assert (report.excluded, report.state_sha256) == (["part-1.parquet"], good.state_sha256)
    pq.write_table(number_table(100, 50), Path(job["lake"]) / "part-new.parquet")
    assert train(job | {"on_changed": on_changed}).rows == 100
    assert names(job) == [*names(job)[:N_FILES], "part-new.parquet"]


def test_exclusion_that_a_kill_cut_short_is_made_up_for_by_the_next_run(make_job, monkeypatch):
    job = make_job()
    train(job)

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit_skip", killed)
        with pytest.raises(KeyboardInterrupt):
            rewind(job["model"], 1, exclude=["part-1*", "part-2*"])
    train_pending({"model": job["model"]})
    assert sorted(names(job)) == [f"part-{i}.parquet" for i in (0, 3, 4)]
    assert len([e for e in ledger(job).entries if isinstance(e, SkipEntry)]) == 2


@pytest.mark.parametrize(
    ("to", "exclude", "says"),
    [
        (6, [], "--to must be a version from 0 to 5"),
        (-1, [], "--to must be a version from 0 to 5"),
        (99, [], "--to must be a version from 0 to 5"),
        (2, ["nothing*"], "fits no partition"),
        (4, ["part-*"], "rewind to version 1 or before"),
    ],
)
def test_rewind_that_cannot_be_is_refused_and_changes_nothing(make_job, to, exclude, says):
    job = make_job()
    train(job)
    before = ledger(job).version, states(job)
    with pytest.raises(JobError, match=says):
        rewind(job["model"], to, exclude=exclude)
    assert (ledger(job).version, states(job)) == before


def test_model_without_versions_is_told_to_have_none(make_job):
    job = make_job()
    with open_session(job):
        pass
    with pytest.raises(JobError, match="nothing has been planned or trained"):
        rewind(job["model"], 0)


def test_middle_of_a_rewind_with_exclusions_is_no_version_to_go_back_to(make_job):
    job = make_job()
    end = train(job).version
    last = rewind(job["model"], 1, exclude=["part-1*", "part-2*"]).version
    train(job)
    assert last == end + 3
    for version in (end + 1, end + 2):
        with pytest.raises(JobError, match=f"rewind to {last}, or to {end} and before"):
            rewind(job["model"], version)
    rewind(job["model"], last)
    train(job)
    assert sorted(names(job)) == [f"part-{i}.parquet" for i in (0, 3, 4)]


# -- states --------------------------------------------------------------------------------------


def test_state_that_was_let_go_is_retrained_to_the_same_sha256(make_job):
    job = make_job()
    train(job)
    assert states(job) == {4, 5, 6}
    third = ledger(job).entries[2]
    assert isinstance(third, LearntEntry)
    report = rewind(job["model"], 3)
    assert (report.retrained, report.state_sha256) == ([2, 3], third.state.sha256)
    assert states(job) == {3, 6}
    assert ledger(job).read_state(third)


def test_retraining_starts_from_the_nearest_state_that_is_sound(make_job):
    job = make_job()
    recorder = Recorder(job["model"])
    train(job, progress=recorder)
    shutil.copy(next((Path(recorder.copies[2]) / "state").iterdir()), Path(job["model"]) / "state")
    assert rewind(job["model"], 3).retrained == [3]
    rewind(job["model"], 6)
    path = Path(job["model"]) / ledger(job).entries[2].state.key
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    shutil.copy(Path(recorder.copies[2]) / ledger(job).entries[1].state.key, path.parent)
    assert rewind(job["model"], 3).retrained == [3]


@pytest.mark.parametrize("harm", ["gone", "changed", "torn", "lake"])
def test_state_that_cannot_be_retrained_is_refused_and_nothing_is_rewound(make_job, harm):
    job = make_job()
    train(job)
    first = Path(job["lake"]) / ledger(job).history.trained()[0].partitions[0].path
    match harm:
        case "gone":
            first.unlink()
        case "changed":
            pq.write_table(number_table(50, 1), first)
        case "torn":
            first.write_bytes(first.read_bytes()[:100])
        case "lake":
            shutil.move(job["lake"], job["lake"] + "-away")
    kind, name = (JobError, job["lake"]) if harm == "lake" else (DataError, first.name)
    with pytest.raises(kind) as error:
        rewind(job["model"], 3)
    assert ledger(job).version == 6
    reason, advice = str(error.value).splitlines()
    assert reason.startswith(
        "nothing has been rewound: the state of version 3 is gone, and cannot be retrained: "
    )
    assert name in reason
    assert advice.endswith("or rewind to one of 0, 4, 5, which need no retraining.")
    assert [rewind(job["model"], to).retrained for to in (5, 4, 0)] == [[], [], []]


def test_lost_refinement_is_not_made_up(make_job):
    job = make_job()
    train(job)
    refined = refine({"model": job["model"]}, n_passes=3)
    pq.write_table(number_table(100, 50), Path(job["lake"]) / "part-new.parquet")
    train(job)
    (Path(job["model"]) / ledger(job).entries[refined.version - 1].state.key).unlink()
    with pytest.raises(ForeignModel, match=f"--to {refined.version - 1}"):
        rewind(job["model"], refined.version)


def test_retention_keeps_what_training_goes_on_from_and_the_last_before_each_rewind(make_job):
    job = make_job()
    train(job)
    rewind(job["model"], 2)
    assert states(job) == {2, 6}
    train(job)
    new = [e.version for e in ledger(job).history.trained()[-3:]]
    assert states(job) == {6, *new}
    rewind(job["model"], 6)
    assert states(job) == {6, new[-1]}


def test_pending_as_of_a_version_is_what_it_has_not_trained(make_job):
    job = make_job()
    train(job)
    found = ledger(job)
    for version in range(found.version + 1):
        line = found.history.line(version)
        left = {p.path for g in found.history.pending(version) for p in g.partitions}
        done = {p.path for e in line if e.action == "train" for p in e.partitions}
        assert left | done == ({f"part-{i}.parquet" for i in range(N_FILES)} if version else set())
        assert not left & done


# -- the command ---------------------------------------------------------------------------------


def test_command_says_what_it_did_and_how_to_go_on(make_job, onepass):
    job = make_job()
    train(job)
    bad = ledger(job).history.trained()[2].partitions[0].path
    code, out, _ = onepass("rewind", job["model"], "--to", 3, "--exclude", bad)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("back to version 3: 2 partitions, ")
    assert lines[1].startswith("undone: 3 versions, 3 partitions, ")
    assert lines[2:] == [
        f"left out from now on: {bad}",
        "of the plan as of then, 2 partitions to be trained",
        f"model {job['model']}, version 8",
        f"go on: onepass train --model {job['model']}",
    ]
    assert onepass("train", "--model", job["model"])[0] == 0
    assert bad not in names(job)
    assert onepass("rewind", job["model"], "--to", 1000)[0] == 2
    assert onepass("rewind", job["model"] + "-none", "--to", 1)[0] == 2
