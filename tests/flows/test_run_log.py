"""The log of a run tells each group once, in lines that are few enough to read."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pytest

from onepass import Job
from onepass.ledger.entries import TrainEntry
from onepass.training.progress import Together
from onepass.training.session import open_session
from prefect_onepass.run_log import RunLog
from recording import Recorder

# Prefect and its dependencies warn about themselves.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list]:
    monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)
    caplog.set_level(logging.INFO, "prefect")
    return lambda: [record.getMessage() for record in caplog.records]


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def job(lake: object, model: object) -> Job:
    return Job(lake=str(lake), label="y", model=str(model))


def numbers(line: str, word: str) -> int:
    found = re.search(rf"([\d,]+) {word}", line)
    assert found is not None, line
    return int(found.group(1).replace(",", ""))


def test_each_group_has_a_line_with_rows_loss_speed_and_place(make_lake, tmp_path, lines):
    clock, recorder = Clock(), Recorder()

    class Ticks(Recorder):
        def committed(self, entry, total):
            clock.now += 2.0

    steps = Together(Ticks(), RunLog(clock), recorder)
    with open_session(job(make_lake(), tmp_path / "model"), steps) as session:
        session.train()
    first, *rest = [line for line in lines() if "compiling" not in line]
    rows = sum(entry.rows for entry in recorder.entries)
    assert first == f"6 partitions to train, {rows:,} rows"
    assert len(rest) == 6
    for number, (line, entry) in enumerate(zip(rest, recorder.entries, strict=True), 1):
        assert isinstance(entry, TrainEntry)
        name = entry.partitions[0].path.removesuffix(".parquet")
        assert line.startswith(f"version {entry.version}: {name}, {entry.rows:,} rows, loss ")
        assert f"loss {entry.loss:.5g} (best constant " in line
        assert " rows/s; " in line
        assert f"; {number} of 6 partitions" in line
        assert ("left" in line) == (number < 6)


def test_groups_within_a_second_share_a_line_and_no_row_is_lost(make_lake, tmp_path, lines):
    recorder = Recorder()
    with (
        RunLog(Clock()) as log,
        open_session(job(make_lake(), tmp_path / "model"), Together(log, recorder)) as session,
    ):
        session.train()
    told = [line for line in lines() if line.startswith("version")]
    assert len(told) == 2
    assert [numbers(line, "rows,") for line in told] == [
        recorder.entries[0].rows,
        sum(entry.rows for entry in recorder.entries[1:]),
    ]
    first, last = recorder.entries[1].version, recorder.entries[-1].version
    assert told[1].startswith(f"versions {first}-{last}: 5 partitions within part-")
    assert told[1].endswith("6 of 6 partitions")


def test_groups_that_are_not_told_yet_are_told_when_the_run_ends_by_an_error(
    make_lake, tmp_path, lines
):
    recorder = Recorder()

    def run_until_an_error() -> None:
        with (
            RunLog(Clock()) as log,
            open_session(job(make_lake(), tmp_path / "model"), Together(log, recorder)) as session,
        ):
            session.plan()
            session.train_pending(max_seconds=0)
            session.train_pending(max_seconds=0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_until_an_error()
    told = [line for line in lines() if line.startswith("version")]
    assert sum(numbers(line, "rows,") for line in told) == sum(one.rows for one in recorder.entries)
    assert len(recorder.entries) == 2
    assert told[-1].partition(";")[2].startswith(" 2 of 6 partitions")


def test_labels_share_a_line_a_second_and_each_line_begins_with_its_label(
    make_lake, tmp_path, lines
):
    clock = Clock()

    class Ticks(Recorder):
        def committed(self, entry, total):
            clock.now += 1.0

    log = RunLog(clock)
    for label, own in [(label, log.of_label(label)) for label in ("y", "other")]:
        steps = Together(Ticks(), own)
        with log, open_session(job(make_lake(), tmp_path / label), steps) as session:
            session.train()
            session.progress.noted(f"{label}: it drifts")
    told = [line for line in lines() if "version" in line]
    # Two labels: a line in two seconds for each, and one for the first group.
    assert [line.split(":")[0] for line in told] == ["y"] * 4 + ["other"] * 4
    assert "y: 6 partitions to train" in lines()[0]
    assert [line for line in lines() if "drifts" in line] == ["y: it drifts", "other: it drifts"]


def test_looks_at_several_labels_are_counted_one_by_one(lines):
    log = RunLog(Clock())
    for n_rows in (60, 40, 60, 40):
        log.looked(n_rows, 100)
    assert lines() == ["looked at the labels of 100 of 100 rows"] * 2


def test_size_of_the_work_is_told_once_where_tasks_go_on_with_a_plan(make_lake, tmp_path, lines):
    with (
        RunLog(Clock()) as log,
        open_session(job(make_lake(), tmp_path / "model"), log) as session,
    ):
        session.plan()
        for _ in range(6):
            session.train_pending(max_seconds=0)
    assert [line for line in lines() if "to train" in line] == [
        next(line for line in lines() if "6 partitions to train" in line)
    ]
    assert lines()[-1].endswith("6 of 6 partitions")


def test_warning_is_told_once_and_in_fields(lines):
    log = RunLog(Clock())
    for _ in range(3):
        log.noted("a file is bad; leave it out with --on-bad skip")
    assert lines() == ["a file is bad; leave it out with on_bad: skip"]


def test_compilation_is_told(lines):
    RunLog(Clock()).compiling()
    assert "compiling loops for this processor, once" in lines()[0]
