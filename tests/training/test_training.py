"""Training as a whole: what one run, and the next, leave behind."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import Job, Model, evaluate
from onepass.errors import BadPartition, ChangedPartition, ForeignModel, JobError
from onepass.ledger.entries import PlanEntry, SkipEntry, dump_entry
from onepass.model import state as state_module
from onepass.model.directory import open_model
from recording import At, Recorder
from small import plan, train, train_pending

KINDS = [
    pytest.param({"solver": solver, "loss": loss}, id=f"{solver}-{loss}")
    for solver in ("newton", "sgd")
    for loss in ("squared", "logistic")
]


@pytest.fixture
def job(make_lake, tmp_path) -> dict[str, Any]:
    """A job over six files, learnt in several blocks each."""
    return {"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "model")}


@pytest.fixture(params=KINDS)
def any_job(request, make_lake, tmp_path) -> dict[str, Any]:
    """The same for each solver and loss."""
    lake = make_lake(classes=request.param["loss"] == "logistic")
    return {"lake": str(lake), "label": "y", "model": str(tmp_path / "model"), **request.param}


def elsewhere(job: dict[str, Any], name: str = "other") -> dict[str, Any]:
    return job | {"model": str(Path(job["model"]).with_name(name))}


def log(job: dict[str, Any]) -> list[Any]:
    return open_model(job["model"]).ledger.entries


def trained(job: dict[str, Any]) -> list[str]:
    return [entry.partitions[0].path for entry in open_model(job["model"]).ledger.history.trained()]


def skips(job: dict[str, Any]) -> dict[str, str]:
    return {e.partition.path: e.reason for e in log(job) if isinstance(e, SkipEntry)}


def states(job: dict[str, Any]) -> list[str]:
    return sorted(os.listdir(Path(job["model"]) / "state"))


def write(job: dict[str, Any], name: str, seed: int, n_rows: int = 300) -> Path:
    path = Path(job["lake"]) / name
    pq.write_table(number_table(n_rows, seed), path, row_group_size=150)
    return path


# -- again and again -----------------------------------------------------------------------------


def test_second_run_trains_nothing_and_says_so(make_lake, tmp_path):
    job = {"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "model")}
    first = train(job)
    second = train({"model": job["model"]})
    assert (first.partitions, first.pending) == (6, 0)
    assert (second.partitions, second.rows, second.version) == (0, 0, first.version)
    assert second.state_sha256 == first.state_sha256
    assert evaluate(job["lake"], job["model"]).metrics["r2"] > 0.5


def test_report_counts_what_the_log_says(job):
    report = train(job)
    entries = open_model(job["model"]).ledger.history.trained()
    assert report.rows == sum(entry.rows for entry in entries) == 2955
    assert report.version == len(log(job)) == 7
    mean = sum(entry.loss * entry.rows for entry in entries) / report.rows
    assert report.loss == pytest.approx(mean, rel=1e-12)
    assert report.state_sha256 == entries[-1].state.sha256


def test_same_job_gives_same_bytes_in_any_directory_and_another_seed_does_not(any_job):
    first = train(any_job)
    assert train(elsewhere(any_job)).state_sha256 == first.state_sha256
    assert train(elsewhere(any_job, "seed") | {"seed": 1}).state_sha256 != first.state_sha256


def test_job_value_and_its_fields_train_alike(job):
    assert train(Job(**job)).state_sha256 == train(elsewhere(job)).state_sha256


def test_added_file_is_the_only_one_trained(job):
    train(job)
    write(job, "part-00.parquet", seed=20)
    report = train({"model": job["model"]})
    assert (report.partitions, report.rows) == (1, 300)
    assert Counter(trained(job)) == Counter({f"part-{i}.parquet": 1 for i in [*range(6), "00"]})
    assert trained(job)[-1] == "part-00.parquet"


def test_stored_order_is_the_order_of_names_and_shuffled_is_not(job):
    names = [f"part-{i}.parquet" for i in range(6)]
    train(job)
    assert sorted(trained(job)) == names != trained(job)
    stored = elsewhere(job) | {"order": "stored"}
    train(stored)
    assert trained(stored) == names


# -- plans --------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["nag", "newton"])
def test_commits_that_lag_behind_learning_write_the_states_of_their_partitions(
    make_lake, tmp_path, monkeypatch, solver
):
    quick = {
        "lake": str(make_lake()),
        "label": "y",
        "model": str(tmp_path / "quick"),
        "solver": solver,
        "categorical": ["level"],
        "hash_bits": 8,
    }
    slow = quick | {"model": str(tmp_path / "slow")}
    expected = train(quick)
    write_state = state_module.write_state

    def written_late(arrays, stream):
        time.sleep(0.15)
        write_state(arrays, stream)

    monkeypatch.setattr(state_module, "write_state", written_late)
    assert train(slow).state_sha256 == expected.state_sha256
    assert [e.state.sha256 for e in log(slow)[1:]] == [e.state.sha256 for e in log(quick)[1:]]


def test_file_that_lands_while_a_plan_is_unfinished_comes_after_it(job):
    other = elsewhere(job)
    train_pending(job, max_seconds=0)
    for each in (job, other):
        plan(each)
    train_pending(job, max_seconds=0)
    train_pending(other)
    write(job, "part-00.parquet", seed=20)
    write(job, "part-33.parquet", seed=21)
    expected = train({"model": other["model"]})
    resumed = train({"model": job["model"]})
    assert trained(job) == trained(other)
    assert [e.action for e in log(job)] == [e.action for e in log(other)]
    assert (resumed.state_sha256, resumed.partitions) == (expected.state_sha256, 7)


def test_frozen_plan_keeps_its_order_when_files_land_during_the_run(job):
    expected = elsewhere(job)
    train(expected)
    train(job, progress=At("committed", lambda _: write(job, "part-00.parquet", seed=20)))
    assert trained(job) == trained(expected)
    assert train({"model": job["model"]}).partitions == 1


# -- changed input -------------------------------------------------------------------------------


def test_rewritten_file_is_noticed_before_anything_is_trained(job):
    train(job)
    before = log(job)
    write(job, "part-00.parquet", seed=20)
    write(job, "part-3.parquet", seed=33, n_rows=511)
    with pytest.raises(ChangedPartition, match=r"part-3.parquet has changed.*511 rows") as error:
        train({"model": job["model"]})
    assert "retrain" in str(error.value).splitlines()[1]
    assert log(job) == before


def test_touched_or_copied_file_is_not_a_changed_one(job):
    train(job)
    path = Path(job["lake"]) / "part-3.parquet"
    os.utime(path, (1, 1))
    shutil.copy(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").rename(path)
    assert train({"model": job["model"]}).partitions == 0


def test_rewritten_file_is_skipped_once_and_for_all_where_asked(job):
    first = train(job)
    write(job, "part-3.parquet", seed=33, n_rows=511)
    write(job, "part-00.parquet", seed=20)
    report = train({"model": job["model"], "on_changed": "skip"})
    assert (report.partitions, report.skipped, report.rows) == (1, 1, 300)
    assert list(skips(job)) == ["part-3.parquet"]
    assert "511 rows" in skips(job)["part-3.parquet"]
    again = train({"model": job["model"]})
    assert (again.partitions, again.skipped, again.version) == (0, 0, report.version)
    assert report.version == first.version + 3


def test_rewritten_file_is_trained_as_a_new_one_where_asked(job):
    train(job)
    write(job, "part-3.parquet", seed=33, n_rows=511)
    report = train({"model": job["model"], "on_changed": "retrain"})
    assert (report.partitions, report.skipped, report.rows) == (1, 0, 511)
    assert Counter(trained(job))["part-3.parquet"] == 2
    assert train({"model": job["model"]}).partitions == 0


def test_trained_file_that_lost_its_rows_is_noticed(job):
    train(job)
    write(job, "part-3.parquet", seed=33, n_rows=0)
    with pytest.raises(ChangedPartition, match=r"part-3.parquet"):
        train({"model": job["model"]})


def test_file_that_changes_between_plan_and_training_is_noticed(job):
    plan(job)
    write(job, "part-3.parquet", seed=33, n_rows=511)
    with pytest.raises(ChangedPartition, match=r"part-3.parquet has changed since it was planned"):
        train_pending({"model": job["model"]})
    assert "part-3.parquet" not in trained(job)
    with pytest.raises(ChangedPartition, match=r"part-3.parquet"):
        train({"model": job["model"]})
    report = train({"model": job["model"], "on_changed": "retrain"})
    assert report.pending == 0
    assert sorted(trained(job)) == [f"part-{i}.parquet" for i in range(6)]
    assert "changed before it was trained" in skips(job)["part-3.parquet"]


def test_file_replaced_while_it_is_read_is_not_trained(job):
    lake = Path(job["lake"])

    def replace_all(_: int) -> None:
        for path in lake.iterdir():
            fresh = path.with_suffix(".new")
            pq.write_table(number_table(90, seed=5), fresh)
            fresh.replace(path)

    with pytest.raises(ChangedPartition, match="has changed since it was planned"):
        train(job, progress=At("advanced", replace_all))
    assert trained(job) == []


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), BrokenPipeError("stderr is gone")])
@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_what_ends_a_run_is_not_taken_for_a_fault_of_a_file(job, raised, harm):
    job |= {"order": "stored", "on_bad": "skip", "on_changed": "skip"}

    def end(_: int) -> None:
        if harm == "changed":
            write(job, "part-0.parquet", seed=33, n_rows=50)
        else:
            (Path(job["lake"]) / "part-0.parquet").unlink()
        raise raised

    with pytest.raises(type(raised)):
        train(job, progress=At("advanced", end))
    assert [entry.action for entry in log(job)] == ["plan"]


def test_file_replaced_by_a_bad_one_while_it_is_read_is_a_changed_one(job):
    job |= {"order": "stored", "on_bad": "skip"}

    def replace(_: int) -> None:
        path = write(job, "part-0.parquet", seed=33, n_rows=50)
        path.write_bytes(bytes(200) + path.read_bytes()[200:])

    with pytest.raises(ChangedPartition, match="has changed since it was planned"):
        train(job, progress=At("advanced", replace))
    assert [entry.action for entry in log(job)] == ["plan"]


@pytest.mark.parametrize("entry_point", [train, train_pending])
def test_planned_file_that_is_gone_is_an_error_or_a_skip(job, entry_point):
    plan(job)
    (Path(job["lake"]) / "part-3.parquet").unlink()
    with pytest.raises(BadPartition, match=r"part-3.parquet: planned, but no longer in the lake"):
        entry_point({"model": job["model"]})
    report = entry_point({"model": job["model"], "on_bad": "skip"})
    assert report.pending == 0
    assert skips(job) == pytest.approx({"part-3.parquet": skips(job)["part-3.parquet"]})
    assert "no longer in the lake" in skips(job)["part-3.parquet"]
    assert len(trained(job)) == 5


def test_what_was_left_out_as_changed_can_still_be_retrained(job):
    train(job)
    write(job, "part-3.parquet", seed=33, n_rows=511)
    assert train({"model": job["model"], "on_changed": "skip"}).skipped == 1
    report = train({"model": job["model"], "on_changed": "retrain"})
    assert (report.partitions, report.rows) == (1, 511)
    assert train({"model": job["model"], "on_changed": "retrain"}).partitions == 0


def test_renamed_file_is_trained_with_a_warning(job, caplog):
    train(job)
    lake = Path(job["lake"])
    (lake / "part-3.parquet").rename(lake / "renamed.parquet")
    assert train({"model": job["model"]}).partitions == 1
    assert "renamed.parquet looks like part-3.parquet, which has been trained" in caplog.text


def test_missing_holdout_is_noticed_before_training(job):
    with pytest.raises(JobError, match="does not exist"):
        train(job | {"holdout": job["lake"] + "-gone"})
    assert not Path(job["model"]).exists()


def test_model_that_has_trained_nothing_may_be_removed_says_the_refusal(job):
    plan(job)
    with pytest.raises(JobError, match=r"removing .* loses nothing"):
        train(job | {"l2": 0.5})
    train(job)
    with pytest.raises(JobError, match=r"l2: the model has 0\.0, this run asks for 0\.5") as caught:
        train(job | {"l2": 0.5})
    assert "loses nothing" not in str(caught.value)


# -- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_lost", [1, 2, 3])
def test_damaged_states_are_retrained_to_the_committed_bytes(any_job, n_lost):
    expected = train(any_job)
    kept = states(any_job)
    for name in kept[-n_lost:]:
        path = Path(any_job["model"]) / "state" / name
        path.write_bytes(path.read_bytes()[:-1])
    write(any_job, "part-9.parquet", seed=20)
    if any_job["loss"] == "logistic":
        table = number_table(300, seed=20, classes=True)
        pq.write_table(table, Path(any_job["lake"]) / "part-9.parquet")
    recorder = Recorder()
    report = train({"model": any_job["model"]}, progress=recorder)
    assert report.partitions == 1
    assert recorder.notes[-1] == f"retraining version {expected.version}, whose state is lost"
    assert len(states(any_job)) == 3
    assert states(any_job)[:2] == kept[1:]
    ledger = open_model(any_job["model"]).ledger
    for entry in ledger.history.trained()[-3:]:
        ledger.read_state(entry)


@pytest.mark.parametrize("entry_point", [train, plan])
@pytest.mark.parametrize("harm", ["newest gone", "newest damaged", "all gone"])
def test_lost_states_are_made_good_by_a_run_that_has_nothing_to_train(
    job, harm, entry_point, caplog
):
    newest = train(job).version
    folder = Path(job["model"]) / "state"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for path in before if harm == "all gone" else [max(before)]:
        path.unlink() if harm.endswith("gone") else path.write_bytes(before[path][:-1])
    recorder = Recorder()
    assert entry_point({"model": job["model"]}, progress=recorder).partitions == 0
    assert recorder.notes[-1] == f"retraining version {newest}, whose state is lost"
    # Nothing is said about the states that retention has deleted.
    told = [message for message in caplog.messages if "cannot be used" in message]
    assert len(told) == (len(before) if harm == "all gone" else 1)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert Model.load(job["model"]).version == newest
    again = Recorder()
    train({"model": job["model"]}, progress=again)
    assert again.notes == []


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_lost_state_that_cannot_be_retrained_is_no_matter_of_leaving_files_out(job, harm):
    train(job)
    path = Path(job["lake"]) / trained(job)[-1]
    path.unlink() if harm == "gone" else write(job, path.name, seed=20)
    (Path(job["model"]) / "state" / states(job)[-1]).unlink()
    with pytest.raises((BadPartition, ChangedPartition), match=path.name) as error:
        train({"model": job["model"], "on_bad": "skip", "on_changed": "skip"})
    assert str(error.value).splitlines()[1].endswith(f"onepass rewind {job['model']} --to 6")
    assert "--on" not in str(error.value)


def test_healed_model_goes_on_as_if_nothing_had_happened(job):
    other = elsewhere(job)
    for each in (job, other):
        train(each)
    shutil.rmtree(Path(job["model"]) / "state")
    write(job, "part-9.parquet", seed=20)
    expected = train({"model": other["model"]})
    assert train({"model": job["model"]}).state_sha256 == expected.state_sha256
    assert len(states(job)) == 3


def test_log_without_its_model_is_refused(job):
    train(job)
    (Path(job["model"]) / "model.json").unlink()
    for given in (job, {"model": job["model"]}):
        with pytest.raises(ForeignModel, match=r"has a log but no model\.json"):
            train(given)
    assert not (Path(job["model"]) / "model.json").exists()


def test_log_of_another_model_is_refused(job):
    train(job)
    train(elsewhere(job) | {"seed": 1})
    shutil.copytree(
        Path(elsewhere(job)["model"]) / "log", Path(job["model"]) / "log", dirs_exist_ok=True
    )
    with pytest.raises(ForeignModel, match="belongs to another model"):
        train({"model": job["model"]})


def test_edited_model_file_is_refused(job):
    train(job)
    path = Path(job["model"]) / "model.json"
    path.write_text(path.read_text().replace('"l1": 0.0', '"l1": 1.0'))
    with pytest.raises(ForeignModel, match="belongs to another model"):
        train({"model": job["model"]})


def move_elsewhere(job: dict[str, Any]) -> None:
    """Let the newest entry say that it was made with another version of numpy."""
    newest = log(job)[-1]
    forged = newest.model_copy(update={"environment": newest.environment | {"numpy": "1.0"}})
    path = Path(job["model"]) / f"log/{newest.version:020d}.json"
    path.write_bytes(dump_entry(forged))


def test_other_machine_or_library_is_told(job, caplog):
    plan(job)
    for _ in range(2):
        train_pending({"model": job["model"]}, max_seconds=0)
    assert caplog.text == ""
    move_elsewhere(job)
    train_pending({"model": job["model"]}, max_seconds=0)
    assert f"(numpy 1.0 -> {np.__version__}); last bits may differ" in caplog.text


def test_other_machine_or_library_is_told_once_however_much_is_skipped(job, caplog):
    plan(job)
    train_pending({"model": job["model"]}, max_seconds=0)
    move_elsewhere(job)
    for path in Path(job["lake"]).iterdir():
        path.write_bytes(b"PAR1")
    assert train_pending({"model": job["model"], "on_bad": "skip"}).skipped == 5
    assert caplog.text.count("last bits may differ") == 1


# -- the frozen job ------------------------------------------------------------------------------


def test_different_job_is_refused_showing_both_sides(job):
    train(job | {"l2": 0.5})
    before = log(job)
    with pytest.raises(JobError) as error:
        train(job | {"l2": 1.0, "label": "a", "exclude": ["b"]})
    message = str(error.value)
    assert "  l2: the model has 0.5, this run asks for 1.0" in message
    assert "  label: the model has 'y', this run asks for 'a'" in message
    assert "  exclude: the model has [], this run asks for 'b'" in message
    assert log(job) == before


def test_fields_of_one_run_may_differ_from_run_to_run(job):
    train(job)
    per_run = {"memory_limit": "2GiB", "on_bad": "skip", "on_changed": "skip", "group_seconds": 1}
    assert train(job | per_run).partitions == 0


def test_plan_is_frozen_once_and_says_what_is_to_be_done(job):
    first = plan(job)
    again = plan({"model": job["model"]})
    assert (first.partitions, first.rows) == (again.partitions, again.rows) == (6, 2955)
    assert (first.created, again.created) == (True, False)
    assert first.bytes == sum(path.stat().st_size for path in Path(job["lake"]).iterdir())
    assert [type(entry) for entry in log(job)] == [PlanEntry]
