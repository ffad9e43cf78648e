"""The pages of a run: keys, descriptions, the table of groups, the report against runs before."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import Job, train
from onepass.actions.evaluate import EvaluateReport, evaluate
from onepass.model.directory import open_model
from onepass.training.session import open_session
from prefect_onepass.artifacts import artifact_key, publish, table_of
from prefect_onepass.figures import duration, rounded
from prefect_onepass.past_runs import holdout_losses, past_runs
from prefect_onepass.run_report import (
    FinishedRun,
    change,
    describe_run,
    short_description,
    warnings_of,
)

# Prefect and its dependencies warn about themselves.
pytestmark = pytest.mark.filterwarnings("default")


def finished(job: Job) -> FinishedRun:
    """Run a session, and return what its pages are made from."""
    with open_session(job) as session:
        since = session.model.ledger.version
        trained = session.train()
        model = session.model
        return FinishedRun(session.job, model.file.id, model.ledger.history, since, trained)


def sent(run: FinishedRun) -> list[str]:
    """Return what publishing a run sends."""

    class Background:
        def send(self, what: str, call: object) -> None:
            names.append(what)

    names: list[str] = []
    publish(Background(), run)  # type: ignore[arg-type]
    return names


@pytest.fixture
def job(make_lake: Any, tmp_path: Path) -> Job:
    return Job(lake=str(make_lake()), label="y", model=str(tmp_path / "nightly" / "clicks"))


def test_models_with_the_same_folder_name_have_keys_of_their_own():
    keys = {artifact_key("report", f"/srv/{team}/Clicks_v2", team * 32) for team in "ab"}
    assert keys == {"onepass-report-clicks-v2-aaaaaaaa", "onepass-report-clicks-v2-bbbbbbbb"}


@pytest.mark.parametrize("model", ["/srv/Ünïcode !", "s3://bucket/" + "x" * 300, "/", "a/b/"])
def test_keys_have_only_what_prefect_allows(model):
    key = artifact_key("progress", model, "3f" * 16)
    assert re.fullmatch("onepass-progress-[a-z0-9-]+-3f3f3f3f", key)
    assert len(key) <= 100


def test_description_has_version_loss_and_rows(job):
    run = finished(job)
    text = short_description(run)
    assert text.startswith(f"version {run.trained.version}: loss {run.trained.loss:.5g} (best ")
    assert text.endswith(f"{run.trained.rows:,} rows of 6 partitions")


def test_table_has_a_line_for_each_group_in_numbers_for_people(job):
    run = finished(job)
    table = table_of(run.entries)
    assert [int(line["version"]) for line in table] == [one.version for one in run.entries]
    assert [line["partitions"] for line in table] == [
        one.partitions[0].path.removesuffix(".parquet") for one in run.entries
    ]
    for line in table:
        assert not any(isinstance(cell, float) for cell in line.values())
        assert not any(re.search(r"\d{7}", str(cell)) for cell in line.values())
        assert line["time"].endswith("s")


def test_many_groups_share_the_lines_of_a_table_and_lose_no_rows(job):
    entries = finished(job).entries * 150
    table = table_of(entries)
    assert len(table) == 180
    rows = sum(int(line["rows"].replace(",", "")) for line in table)
    assert rows == sum(entry.rows for entry in entries)


def test_report_has_the_exact_sums_of_the_session(job):
    run = finished(job)
    report = describe_run(run)
    assert report.startswith(f"# nightly/clicks: version {run.trained.version}\n")
    loss, constant = run.trained.loss, run.trained.metrics["constant_loss"]
    assert f"| all rows | {run.trained.rows:,} | {rounded(loss)} | {rounded(constant)} |" in report
    assert "this run and those before" not in report.lower()


def test_last_rows_of_several_epochs_are_of_the_first(job):
    once = finished(job)
    twice = finished(job.model_copy(update={"model": f"{job.model}-twice", "epochs": 2}))
    (past,) = past_runs(twice.history)
    assert {entry.epoch for entry in past.first_epoch} == {1}
    assert past.n_partitions == 12
    assert past.losses() == past_runs(once.history)[0].losses()
    assert twice.trained.last_tenth is not None
    assert f"| the last rows | {twice.trained.last_tenth.rows:,} |" in describe_run(twice)


def test_report_compares_with_the_runs_before(job):
    finished(job)
    for number in (1, 2):
        table = number_table(600, seed=50 + number)
        pq.write_table(table, Path(job.lake) / f"new-{number}.parquet")
        run = finished(job)
    rows = [line for line in describe_run(run).splitlines() if re.match(r"\| \d{4}-", line)]
    assert len(rows) == 3
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [int(row[1]) for row in cells] == sorted((int(row[1]) for row in cells), reverse=True)
    newest, _, oldest = past_runs(run.history)[::-1]
    assert (newest.rows, cells[0][2]) == (600, "600")
    assert oldest.rows == int(cells[2][2].replace(",", ""))
    loss, constant = newest.losses()
    assert loss is not None
    assert constant is not None
    assert cells[0][3] == f"{loss:.5g}"
    assert re.fullmatch(f"{loss / constant:.4g} (= same|. .*% (better|worse))", cells[0][4])
    assert re.fullmatch(r"[\d.]+", cells[2][4])


def test_run_that_another_plan_was_interrupted_in_is_one_run(job):
    with open_session(job) as session:
        session.plan()
        session.train_pending(max_seconds=0)
    run = finished(job)
    assert [one.n_partitions for one in past_runs(run.history)] == [6]
    assert run.trained.partitions == 5


def test_report_begins_with_what_is_wrong(job):
    bad = Path(job.lake) / "bad.parquet"
    bad.write_bytes(b"no parquet at all")
    run = finished(job.model_copy(update={"on_bad": "skip"}))
    run = replace(run, holdout_error="no such lake: /holdout\nleave it out: --on-bad skip")
    lines = [line for line in describe_run(run).splitlines() if line]
    assert lines[1] == (
        f"**Warning:** version {run.trained.version} is trained and kept, but the holdout could "
        "not be evaluated: no such lake: /holdout leave it out: on_bad: skip"
    )
    assert lines[2].startswith("**Warning:** 1 partition left out: ")
    assert "bad.parquet" in lines[2]
    assert lines[3].startswith("Trained 6 partitions")


def test_worse_holdout_and_a_useless_model_are_warned_of(job):
    run = finished(job)
    report = evaluate(job.lake, job.model)
    sound = replace(run, holdout=report, holdouts={1: report.loss, 2: report.loss})
    assert warnings_of(sound) == []
    worse = replace(sound, holdouts={1: report.loss, 2: 0.9 * report.loss})
    (warning,) = warnings_of(worse)
    assert warning.startswith(f"the holdout loss {report.loss:.5g} is worse than")
    assert warning.endswith("of version 2.")
    useless: EvaluateReport = report.model_copy(update={"loss": 99.0})
    assert "there the model is of no use" in warnings_of(replace(run, holdout=useless))[0]
    # A holdout without positives: nothing beats the constant, whatever the model is worth.
    alike = useless.model_copy(update={"metrics": useless.metrics | {"constant_loss": 0.0}})
    assert warnings_of(replace(run, holdout=alike)) == []
    # As class weights make it: the probabilities are far off, and the order is not.
    shifted = useless.model_copy(update={"metrics": useless.metrics | {"auc": 0.7}})
    (warning,) = warnings_of(replace(run, holdout=shifted))
    assert "there only the order of its predictions is of use (auc 0.7)" in warning


def test_recorded_losses_on_the_same_files_are_compared_and_on_others_are_not(job, make_lake):
    holdout = make_lake(2, name="holdout")
    job = job.model_copy(update={"holdout": str(holdout)})
    train(job)
    pq.write_table(number_table(600, seed=51), Path(job.lake) / "new.parquet")
    run = finished(job)
    report = evaluate(str(holdout), job.model, record=True)
    store = open_model(job.model).store
    losses = holdout_losses(store, run.history, report)
    versions = [one.version for one in past_runs(run.history)]
    assert list(losses) == versions
    assert losses[versions[-1]] == report.loss
    text = describe_run(replace(run, holdout=report, holdouts=losses))
    assert text.count(f"| {losses[versions[0]]:.5g} |") == 1
    pq.write_table(number_table(600, seed=52), holdout / "more.parquet")
    other = evaluate(str(holdout), job.model, record=True)
    assert list(holdout_losses(store, run.history, other)) == versions[-1:]


def test_partition_whose_loss_leaves_its_band_is_named(make_lake, tmp_path):
    job = Job(lake=str(make_lake(12)), label="y", model=str(tmp_path / "model"), order="stored")
    finished(job)
    table = number_table(800, seed=77)
    shuffled = table.column("y").take(list(range(400, 800)) + list(range(400)))
    changed = table.set_column(table.column_names.index("y"), "y", shuffled)
    pq.write_table(changed, Path(job.lake) / "strange.parquet")
    run = finished(job)
    assert any("strange" in one and "have changed" in one for one in warnings_of(run))


def test_quiet_run_publishes_nothing(job):
    assert sent(finished(job)) == ["the report", "the table of groups"]
    assert sent(finished(job)) == []


def test_losses_are_compared_in_words():
    assert change(0.5, 0.4) == "↓ 20% better"
    assert change(0.5, 0.6) == "↑ 20% worse"
    assert change(0.5, 0.5001) == "= same"
    assert change(None, 0.5) == ""


def test_numbers_have_few_digits_and_times_a_unit():
    assert rounded(138.32824989103435) == "138.328"
    assert rounded(1234567.8) == "1,234,568"
    assert rounded(0.000012345678) == "1.23457e-05"
    assert rounded(None) == "-"
    assert [duration(s) for s in (0.034, 12.34, 59.97, 125, 3599.7, 11520)] == [
        "34 ms", "12.3 s", "1 min 0 s", "2 min 5 s", "1 h 0 min", "3 h 12 min",
    ]  # fmt: skip


def test_old_versions_are_read_as_runs(tmp_path, make_lake):
    model = tmp_path / "model"
    train({"lake": str(make_lake()), "label": "y", "model": str(model), "interleave": 2})
    (run,) = past_runs(open_model(model).ledger.history)
    assert (len(run.entries), run.n_partitions) == (3, 6)
