"""A rolling holdout: the newest files judge the model, and are trained when they leave."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import corrupt_pages, number_table
from onepass import evaluate, rewind, verify
from onepass.actions.train import train
from onepass.actions.trained import TrainOutcome
from onepass.errors import BadPartition, JobError
from onepass.ledger.ledger import Ledger
from onepass.model.directory import open_model
from onepass.training import session, several
from recording import Recorder
from small import plan

WEEK = "where: date >= today - 2d"
"""Today and the two days before it."""


@pytest.fixture
def on_day(monkeypatch) -> Callable[[int], None]:
    """Let runs take place on a day of November 2026."""

    def set_day(day: int) -> None:
        for module in (session, several):
            monkeypatch.setattr(module, "utc_today", lambda: date(2026, 11, day))

    set_day(20)
    return set_day


def name(day: int) -> str:
    return f"date=2026-11-{day:02}/rows.parquet"


def land(lake: Path, *days: int) -> None:
    for day in days:
        (lake / name(day)).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(number_table(200 + day, day), lake / name(day), row_group_size=100)


@pytest.fixture
def lake(tmp_path) -> Path:
    """One file a day, from 15 to 20 November."""
    land(tmp_path / "lake", *range(15, 21))
    return tmp_path / "lake"


@pytest.fixture
def job(lake, tmp_path, on_day) -> dict[str, Any]:
    return {
        **{"lake": str(lake), "label": "y", "model": str(tmp_path / "model"), "exclude": ["date"]},
        **{"order": "stored", "holdout": WEEK},
    }


def again(job: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": job["model"], **fields}


def trained(job: dict[str, Any]) -> list[str]:
    history = open_model(job["model"]).ledger.history
    return [one.path for entry in history.trained() for one in entry.partitions]


def days(*numbers: int) -> list[str]:
    return [name(day) for day in numbers]


def check_evaluation(outcome: TrainOutcome, lake: Path, *of: int) -> None:
    """The holdout has the rows of some days, and the metrics of evaluating them as a lake."""
    assert outcome.held_out == days(*of)
    assert outcome.holdout is not None
    expected = evaluate([str(lake / name(day)) for day in of], outcome.model)
    assert (outcome.holdout.rows, outcome.holdout.loss) == (expected.rows, expected.loss)
    assert outcome.holdout.metrics == expected.metrics
    assert outcome.holdout.version == expected.version


def test_each_file_is_judged_first_and_trained_once_it_leaves_the_window(job, lake, on_day):
    first = train(job)
    assert trained(job) == days(15, 16, 17)
    check_evaluation(first, lake, 18, 19, 20)
    on_day(21)
    land(lake, 21)
    second = train(again(job))
    assert trained(job) == days(15, 16, 17, 18)
    check_evaluation(second, lake, 19, 20, 21)
    on_day(24)
    land(lake, 24)
    check_evaluation(train(again(job)), lake, 24)
    assert Counter(trained(job)) == dict.fromkeys(days(*range(15, 22)), 1)
    assert verify(job["model"], retrain=True).sound


def test_state_is_that_of_a_model_that_got_the_files_as_they_left(job, lake, tmp_path, on_day):
    train(job)
    on_day(22)
    state = train(again(job)).state_sha256
    grown = tmp_path / "grown"
    other = job | {"lake": str(grown), "model": str(tmp_path / "other"), "holdout": None}
    for step in ((15, 16, 17), (18, 19)):
        for day in step:
            shutil.copytree((lake / name(day)).parent, (grown / name(day)).parent)
        report = train(other)
    assert report.state_sha256 == state


def test_new_model_sees_nothing_of_what_is_held_out(job, lake, tmp_path):
    """Neither another label nor a new column or category of the held-out files is in the model."""
    for day in (19, 20):
        table = pq.read_table(lake / name(day))
        table = table.append_column("late", pa.array(["x"] * len(table)))
        table = table.set_column(4, "y", pa.compute.multiply(table["y"], 1e6))
        pq.write_table(table, lake / name(day))
    plan(job)
    kept = tmp_path / "kept"
    for day in (15, 16, 17):
        shutil.copytree((lake / name(day)).parent, (kept / name(day)).parent)
    other = job | {"lake": str(kept), "model": str(tmp_path / "other"), "holdout": None}
    plan(other)
    ours, theirs = (json.loads(Path(j["model"], "model.json").read_text()) for j in (job, other))
    assert ours["encoder"] == theirs["encoder"]
    assert ours["job"]["holdout"] == {"where": "date >= today - 2d"}


def test_window_that_grows_back_holds_out_nothing_that_is_trained(job, lake):
    train(job)
    check_evaluation(train(again(job, holdout="where: date >= today - 30d")), lake, 18, 19, 20)
    assert trained(job) == days(15, 16, 17)


def test_what_is_planned_is_trained_though_the_window_grows(job, lake):
    plan(job | {"holdout": "last: 1"})
    outcome = train(again(job, holdout="last: 5"))
    assert trained(job) == days(15, 16, 17, 18, 19)
    check_evaluation(outcome, lake, 20)


def test_last_files_go_by_number_and_count_those_that_are_trained(job, make_lake):
    lake = make_lake(12, 60)
    job |= {"lake": str(lake), "holdout": "last: 3"}
    first = train(job)
    assert first.held_out == [f"part-{i}.parquet" for i in (10, 11, 9)]
    pq.write_table(number_table(70, 12), lake / "part-12.parquet")
    second = train(again(job))
    assert trained(job)[-1] == "part-9.parquet"
    assert second.held_out == [f"part-{i}.parquet" for i in (10, 11, 12)]
    # A late file is no last one, and is trained at once.
    pq.write_table(number_table(70, 13), lake / "part-1-late.parquet")
    assert train(again(job)).held_out == second.held_out
    assert trained(job)[-1] == "part-1-late.parquet"


def test_empty_window_is_noted_and_nothing_is_evaluated(job, on_day):
    on_day(28)
    notes = Recorder()
    outcome = train(job, progress=notes)
    assert (outcome.partitions, outcome.held_out, outcome.holdout) == (6, [], None)
    (note,) = notes.notes
    assert note.startswith("no evaluation: --holdout='where: date >= today - 2d' fits no file")
    assert "today is 2026-11-28, UTC" in note


def test_window_that_covers_the_whole_lake_is_an_error(job, lake, on_day):
    with pytest.raises(JobError, match=r"nothing to train outside the holdout.*all 6 files"):
        train(job | {"holdout": "last: 6"})
    assert not Path(job["model"]).exists()
    train(job)
    rewind(job["model"], 0)
    with pytest.raises(JobError, match="nothing to train outside the holdout"):
        train(again(job, holdout="where: date > 2026-01-01"))
    assert train(again(job)).partitions == 3


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("where: day > today", r"no key=value folder 'day'.*it has date"),
        ("where: date > 20", r"the folder date=2026-11-15 is no number"),
    ],
)
def test_conditions_that_do_not_suit_the_lake_are_told(job, rule, message):
    with pytest.raises(JobError, match=message):
        train(job | {"holdout": rule})
    train(job)
    with pytest.raises(JobError, match=message):
        train(again(job, holdout=rule))


def test_rewound_file_is_unseen_and_may_be_held_out_again(job, lake, on_day):
    version = train(job).version
    on_day(21)
    train(again(job))
    rewind(job["model"], version)
    on_day(20)
    check_evaluation(train(again(job)), lake, 18, 19, 20)


def test_excluded_file_judges_nothing(job, lake):
    train(job)
    rewind(job["model"], 0, exclude=[name(19)])
    check_evaluation(train(again(job)), lake, 18, 20)


def test_file_is_trained_in_every_epoch_once_it_leaves(job, on_day):
    train(job | {"epochs": 2})
    on_day(22)
    train(again(job))
    assert Counter(trained(job)) == dict.fromkeys(days(*range(15, 20)), 2)


# -- bad files in the window -----------------------------------------------------------------------


def test_unfinished_file_is_no_holdout_and_takes_no_place_among_the_last(job, lake):
    path = lake / name(20)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(BadPartition, match=r"rows.parquet"):
        train(job | {"holdout": "last: 2"})
    outcome = train(job | {"holdout": "last: 2", "on_bad": "quarantine"})
    assert [one.path for one in outcome.quarantined] == [name(20)]
    assert trained(job) == days(15, 16, 17)
    check_evaluation(outcome, lake, 18, 19)
    land(lake, 20)
    check_evaluation(train(again(job)), lake, 19, 20)
    assert trained(job) == days(15, 16, 17, 18)


def test_corrupt_file_is_left_out_of_the_evaluation_where_asked(job, lake, on_day):
    corrupt_pages(lake / name(19))
    with pytest.raises(BadPartition, match=r"date=2026-11-19"):
        train(job)
    notes = Recorder()
    outcome = train(again(job, on_bad="quarantine"), progress=notes)
    assert outcome.holdout is not None
    expected = evaluate([str(lake / name(day)) for day in (18, 20)], outcome.model)
    assert outcome.holdout.loss == expected.loss
    assert [note[:31] for note in notes.notes] == ["not evaluated: date=2026-11-19/"]
    on_day(22)
    outcome = train(again(job, on_bad="quarantine"))
    assert [one.path for one in outcome.quarantined] == [name(19)]


# -- killed, elsewhere, and by the command ---------------------------------------------------------


class Killed(BaseException):
    """The end of a process."""


def test_killed_after_any_entry_it_ends_in_the_same_state(job, on_day, monkeypatch):
    append, states = Ledger.append, set()
    job |= {"order": "shuffled"}
    for step in range(9):
        alive = [step]

        def mortal(self: Ledger, entry: Any, alive: list[int] = alive) -> Any:
            done = append(self, entry)
            alive[0] -= 1
            if alive[0] == 0:
                raise Killed
            return done

        monkeypatch.setattr(Ledger, "append", mortal)
        mine = job | {"model": f"{job['model']}-{step}"}
        for day in (20, 21, 22):
            on_day(day)
            try:
                outcome = train(mine)
            except Killed:
                outcome = train(mine)
        states.add(outcome.state_sha256)
        assert Counter(trained(mine)) == dict.fromkeys(days(*range(15, 20)), 1)
    assert len(states) == 1


def test_objects_of_a_bucket_are_held_out_and_evaluated(job, lake, upload, on_day):
    local = train(job)
    there = job | {"lake": upload(lake, "lakes/days"), "model": job["model"] + "-there"}
    remote = train(there)
    assert remote.held_out == local.held_out
    assert remote.holdout is not None
    assert local.holdout is not None
    assert remote.holdout.loss == local.holdout.loss
    on_day(21)
    assert train(again(there)).partitions == 1


def test_command_takes_the_text_and_says_what_is_held_out(job, onepass):
    arguments = [job["lake"], "--label", "y", "--model", job["model"], "--exclude", "date"]
    code, out, _ = onepass("train", *arguments, "--holdout", "last: 2")
    assert code == 0
    assert "holdout rows: loss" in out
    code, out, _ = onepass("train", "--model", job["model"])
    assert "nothing to train: the model has seen every partition of its lake but 2 held out" in out
    code, _, err = onepass("train", "--model", job["model"], "--holdout", "where: date ~ 3")
    assert code == 2
    assert "holdout: where: expected one of = != < <= > >= at character 6 of 'date ~ 3'" in err


def test_date_of_a_run_is_asked_once_and_in_utc(job, monkeypatch):
    asked = []

    def today() -> date:
        asked.append(1)
        return date(2026, 11, 20)

    monkeypatch.setattr(session, "utc_today", today)
    train(job)
    assert len(asked) == 1


def test_holdout_of_several_labels_moves_as_that_of_each_alone(job, lake, on_day, tmp_path):
    labels, models, copies = ["y", "b"], Path(job["model"]), tmp_path / "copies"

    def check(found: dict[str, TrainOutcome], *held_out: int) -> None:
        for label, outcome in found.items():
            check_evaluation(outcome, lake, *held_out)
            copy = copies / label
            if not copy.exists():
                copy.mkdir(parents=True)
                shutil.copy(models / label / "model.json", copy)
            alone = train({"model": str(copy)})
            assert alone.holdout is not None
            assert (alone.state_sha256, alone.rows) == (outcome.state_sha256, outcome.rows)
            assert (alone.held_out, alone.holdout.loss) == (outcome.held_out, outcome.holdout.loss)

    def run(given: dict[str, Any]) -> dict[str, TrainOutcome]:
        outcome = train(given)
        return {label: outcome[label] for label in labels}

    check(run(job | {"label": labels}), 18, 19, 20)
    on_day(21)
    land(lake, 21)
    check(run(again(job)), 19, 20, 21)
    on_day(24)
    land(lake, 24)
    check(run(again(job)), 24)
    for label in labels:
        one = {"model": str(models / label)}
        assert Counter(trained(one)) == dict.fromkeys(days(*range(15, 22)), 1)
