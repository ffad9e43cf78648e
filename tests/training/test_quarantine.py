"""Files in quarantine: left out while they are bad, and trained once they are replaced."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lakes import corrupt_pages, number_table
from onepass import rewind, verify
from onepass.errors import BadPartition, ChangedPartition
from onepass.lake import footer
from onepass.lake.limits import ReadLimits
from onepass.ledger.entries import SkipEntry
from onepass.ledger.ledger import Ledger
from onepass.model.directory import open_model
from onepass.training import compared as planning
from onepass.training.limits import Limits
from recording import Recorder
from small import plan, train, train_pending

SPLIT = Limits(max_batch_rows=128, read=ReadLimits(split_bytes=1))
"""Each row group is a partition."""


@pytest.fixture
def lake(make_lake) -> Path:
    """Five files of three row groups or more."""
    return make_lake(5)


@pytest.fixture
def job(lake, tmp_path) -> dict[str, Any]:
    return {
        **{"lake": str(lake), "label": "y", "model": str(tmp_path / "model")},
        **{"order": "stored", "on_bad": "quarantine"},
    }


def again(job: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What a scheduled run gives: the model remembers the rest."""
    return {"model": job["model"], **fields}


def trained(job: dict[str, Any]) -> list[str]:
    history = open_model(job["model"]).ledger.history
    return [one.name for entry in history.trained() for one in entry.partitions]


def left_out(job: dict[str, Any]) -> list[SkipEntry]:
    entries = open_model(job["model"]).ledger.entries
    return [entry for entry in entries if isinstance(entry, SkipEntry)]


def cut(path: Path) -> bytes:
    """Leave the first half of a file, as an upload does that is not finished; return the whole."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return whole


def harm(path: Path, how: str) -> None:
    match how:
        case "no Parquet":
            path.write_bytes(b"no rows at all" * 9)
        case "unfinished":
            cut(path)
        case "a column is missing":
            pq.write_table(pq.read_table(path).drop_columns("a"), path)
        case "another type":
            table = pq.read_table(path)
            texts = table.column("level")
            pq.write_table(table.set_column(0, "a", texts), path)
        case "corrupt pages":
            corrupt_pages(path)
        case "null labels":
            table = pq.read_table(path)
            nulls = [None, *table.column("y").to_pylist()[1:]]
            pq.write_table(table.set_column(4, "y", [nulls]), path)


HARMS = ["no Parquet", "unfinished", "a column is missing", "another type", "corrupt pages"]
HARMS += ["null labels"]


@pytest.fixture
def reads(monkeypatch) -> Iterator[Counter[str]]:
    """Counts the reads of the end of each file by planning."""
    found: Counter[str] = Counter()

    def counted(file: Any) -> Any:
        found[file.key] += 1
        return footer.read_footer(file)

    monkeypatch.setattr(planning, "read_footer", counted)
    return found


def grown(source: Path, steps: list[list[str]], job: dict[str, Any]) -> str | None:
    """Return the state of a model whose lake had these files land, one step after the other."""
    lake = source.with_name("grown")
    lake.mkdir()
    for names in steps:
        _land(source, lake, names)
        report = train(job | {"lake": str(lake), "model": job["model"] + "-grown"})
    return report.state_sha256


# -- left out, and taken up again ------------------------------------------------------------------


@pytest.mark.parametrize("how", HARMS)
def test_bad_file_is_left_out_and_trained_once_when_it_is_replaced(job, lake, tmp_path, how):
    names = sorted(path.name for path in lake.iterdir())
    landing = tmp_path / "landing"
    landing.mkdir()
    job["lake"] = str(landing)
    _land(lake, landing, names[:2])
    train(job)
    _land(lake, landing, names[2:])
    harm(landing / names[3], how)
    first = train(job)
    assert trained(job) == [name for name in names if name != names[3]]
    assert [one.path for one in first.quarantined] == [names[3]]
    assert (first.in_quarantine, first.skipped, first.pending) == (1, 0, 0)
    (entry,) = left_out(job)
    assert (entry.kind, entry.partition.path) == ("quarantine", names[3])
    assert entry.reason == first.quarantined[0].reason

    second = train(again(job))
    assert (second.version, second.quarantined, second.in_quarantine) == (first.version, [], 1)

    _land(lake, landing, [names[3]])
    third = train(again(job))
    assert (third.partitions, third.quarantined, third.in_quarantine) == (1, [], 0)
    assert Counter(trained(job)) == dict.fromkeys(names, 1)
    assert train(again(job)).version == third.version
    steps = [names[:2], [names[2], names[4]], [names[3]]]
    assert grown(lake, steps, job) == third.state_sha256
    newest = open_model(job["model"]).ledger.history.newest_states(1)[0]
    assert verify(job["model"], retrain=True).retrained == newest.version


def _land(source: Path, lake: Path, names: list[str]) -> None:
    for name in names:
        shutil.copy(source / name, lake)


@pytest.mark.parametrize("how", ["unfinished", "corrupt pages", "another type"])
def test_model_is_created_from_the_other_files(job, lake, how):
    harm(lake / "part-2.parquet", how)
    report = train(job)
    assert [one.path for one in report.quarantined] == ["part-2.parquet"]
    assert trained(job) == [f"part-{i}.parquet" for i in (0, 1, 3, 4)]


@pytest.mark.parametrize("how", ["unfinished", "corrupt pages"])
def test_unchanged_bad_file_is_not_read_again(job, lake, how, reads):
    harm(lake / "part-2.parquet", how)
    train(job)
    reads.clear()
    progress = Recorder()
    report = train(again(job), progress=progress)
    assert (reads["part-2.parquet"], progress.notes) == (0, [])
    assert (report.partitions, report.in_quarantine) == (0, 1)


def test_file_of_equal_content_that_is_put_there_anew_is_trained(job, lake):
    """The footer of a file with corrupt pages is that of the good file."""
    path = lake / "part-2.parquet"
    good = path.read_bytes()
    corrupt_pages(path)
    before = train(job)
    path.write_bytes(good)
    report = train(again(job))
    assert (report.partitions, report.in_quarantine) == (1, 0)
    assert trained(job)[-1] == "part-2.parquet"
    assert train(again(job)).version == report.version == before.version + 2


def test_replacement_of_the_same_size_and_time_is_noticed(job, lake):
    path = lake / "part-2.parquet"
    good = path.read_bytes()
    corrupt_pages(path)
    train(job)
    was = path.stat()
    fresh = path.with_suffix(".new")
    fresh.write_bytes(good)
    os.utime(fresh, ns=(was.st_atime_ns, was.st_mtime_ns))
    fresh.replace(path)
    assert train(again(job)).partitions == 1


def test_replacement_that_is_bad_again_is_noted_again_and_once(job, lake):
    path = lake / "part-2.parquet"
    good = path.read_bytes()
    path.write_bytes(good[:500])
    first = train(job)
    path.write_bytes(good[:900])
    second = train(again(job))
    assert [one.path for one in second.quarantined] == ["part-2.parquet"]
    assert (second.version, second.in_quarantine) == (first.version + 1, 1)
    third = train(again(job))
    assert (third.version, third.quarantined) == (second.version, [])
    path.write_bytes(good)
    assert train(again(job)).partitions == 1


def test_file_that_disappears_is_simply_gone(job, lake):
    harm(lake / "part-2.parquet", "unfinished")
    first = train(job)
    (lake / "part-2.parquet").unlink()
    report = train(again(job))
    assert (report.version, report.quarantined, report.in_quarantine) == (first.version, [], 0)


def test_planned_file_that_is_gone_is_trained_when_it_comes_back(job, lake):
    plan(job)
    path = lake / "part-2.parquet"
    path.rename(path.with_suffix(".away"))
    report = train(again(job))
    assert "no longer in the lake" in report.quarantined[0].reason
    assert (report.partitions, report.in_quarantine) == (4, 0)
    path.with_suffix(".away").rename(path)
    assert train(again(job)).partitions == 1
    assert train(again(job)).partitions == 0


def test_other_runs_know_the_quarantine_of_an_earlier_one(job, lake):
    path = lake / "part-2.parquet"
    good = cut(path)
    first = train(job)
    assert train(again(job, on_bad="skip")).version == first.version
    with pytest.raises(BadPartition, match=r"part-2.parquet") as found:
        train(again(job, on_bad="error"))
    [entry] = left_out(job)
    assert f"in quarantine since version {entry.version}, and is as it was" in str(found.value)
    assert "Go on with --on-bad quarantine until it is replaced, or repair" in str(found.value)
    path.write_bytes(good[:-9])
    with pytest.raises(BadPartition, match="Repair or remove the file, or go on without it"):
        train(again(job, on_bad="error"))
    path.write_bytes(good)
    assert train(again(job, on_bad="error")).partitions == 1


def test_file_that_was_skipped_before_is_put_in_quarantine_once(job, lake):
    harm(lake / "part-2.parquet", "unfinished")
    first = train(job | {"on_bad": "skip"})
    assert (first.skipped, first.quarantined, first.in_quarantine) == (1, [], 0)
    assert [train(again(job, on_bad="quarantine")).in_quarantine for _ in "12"] == [1, 1]
    assert [entry.kind for entry in left_out(job)] == ["skip", "quarantine"]


# -- rounds, epochs and ranges of a file -----------------------------------------------------------


class RowCount(Recorder):
    """Adds up the rows that are reported."""

    n_rows = 0
    n_back = 0

    def advanced(self, n_rows: int) -> None:
        self.n_rows += n_rows
        self.n_back -= min(n_rows, 0)


@pytest.mark.parametrize("fields", [{"parallel": 4}, {"interleave": 3}])
def test_rows_that_are_learnt_again_after_a_bad_page_are_reported_once(job, lake, fields):
    small_blocks = Limits(max_batch_rows=64)
    plan(job | fields, limits=small_blocks)
    corrupt_pages(lake / "part-3.parquet")
    count = RowCount()
    report = train(again(job), progress=count, limits=small_blocks)
    assert [one.path for one in report.quarantined] == ["part-3.parquet"]
    assert (count.n_rows, count.n_back > 0) == (report.rows, True)


@pytest.mark.parametrize("fields", [{"parallel": 4}, {"interleave": 2}, {"epochs": 2}])
def test_files_found_bad_while_they_are_learnt_are_never_half_trained(job, lake, fields):
    plan(job | fields)
    bad = ["part-1.parquet", "part-3.parquet"]
    good = {name: (lake / name).read_bytes() for name in bad}
    for name in bad:
        corrupt_pages(lake / name)
    report = train(again(job))
    assert sorted(one.path for one in report.quarantined) == bad
    assert report.in_quarantine == 2
    n_epochs = fields.get("epochs", 1)
    names = [f"part-{i}.parquet" for i in (0, 2, 4)]
    assert Counter(trained(job)) == dict.fromkeys(names, n_epochs)
    for name, data in good.items():
        (lake / name).write_bytes(data)
    train(again(job))
    assert Counter(trained(job)) == dict.fromkeys([*names, *bad], n_epochs)
    assert verify(job["model"], retrain=True).sound


def test_partition_that_an_earlier_epoch_has_learnt_is_not_learnt_twice(job, lake):
    plan(job | {"epochs": 2})
    with_first = again(job)
    while len(trained(job)) < 5:
        train_pending(with_first, max_seconds=0)
    path = lake / "part-2.parquet"
    good = path.read_bytes()
    corrupt_pages(path)
    assert train(with_first).in_quarantine == 1
    path.write_bytes(good)
    assert train(with_first).partitions == 0
    assert Counter(trained(job))["part-2.parquet"] == 1
    assert verify(job["model"]).sound


@pytest.fixture
def in_ranges(job, lake) -> dict[str, Any]:
    """A large file of four ranges, of which two are corrupt; the others have been trained."""
    path = lake / "part-2.parquet"
    pq.write_table(number_table(600, 2), path, row_group_size=150)
    plan(job, limits=SPLIT)
    shutil.copy(path, path.with_suffix(".good"))
    corrupt_pages(path)
    report = train(again(job), limits=SPLIT)
    assert [one.path for one in report.quarantined] == ["part-2.parquet"]
    names = {f"part-2.parquet[{i}:{i + 1}]" for i in range(4)}
    assert names - set(trained(job)) == {"part-2.parquet[1:2]", "part-2.parquet[2:3]"}
    return job


def test_only_the_corrupt_ranges_of_a_large_file_are_left_out_and_taken_up(in_ranges, lake):
    path = lake / "part-2.parquet"
    path.with_suffix(".good").replace(path)
    report = train(again(in_ranges), limits=SPLIT)
    assert (report.partitions, report.rows, report.in_quarantine) == (2, 300, 0)
    assert set(Counter(trained(in_ranges)).values()) == {1}


def test_on_changed_decides_when_a_file_that_was_trained_in_part_gets_other_rows(in_ranges, lake):
    path = lake / "part-2.parquet"
    pq.write_table(number_table(450, 22), path, row_group_size=150)
    with pytest.raises(ChangedPartition, match=r"part-2.parquet has changed") as error:
        train(again(in_ranges), limits=SPLIT)
    assert "A part of it was trained, the rest is in quarantine" in str(error.value)
    before = len(trained(in_ranges))
    report = train(again(in_ranges, on_changed="retrain"), limits=SPLIT)
    assert (report.partitions, report.rows, report.in_quarantine) == (3, 450, 0)
    assert trained(in_ranges)[before:] == [f"part-2.parquet[{i}:{i + 1}]" for i in range(3)]
    assert train(again(in_ranges), limits=SPLIT).partitions == 0


# -- killed, rewound, verified ---------------------------------------------------------------------


class Killed(BaseException):
    """The end of a process."""


def test_killed_after_any_entry_it_ends_in_the_same_state(job, lake, monkeypatch):
    job |= {"order": "shuffled"}
    good = {}
    for name in ("part-1.parquet", "part-3.parquet"):
        good[lake / name] = (lake / name).read_bytes()
        cut(lake / name) if "1" in name else corrupt_pages(lake / name)

    def whole_life(fields: dict[str, Any], alive: list[int]) -> str | None:
        for path, data in good.items():
            path.write_bytes(data)
            cut(path) if "1" in path.name else corrupt_pages(path)
        for replaced in (False, True):
            if replaced:
                for path, data in good.items():
                    path.write_bytes(data)
            while True:
                try:
                    state = train(fields).state_sha256
                    break
                except Killed:
                    alive.clear()
        return state

    append = Ledger.append

    def mortal(alive: list[int]) -> Any:
        def appended(self: Ledger, entry: Any) -> Any:
            done = append(self, entry)
            if alive:
                alive[0] -= 1
                if alive[0] == 0:
                    raise Killed
            return done

        return appended

    states = set()
    for step in range(11):
        alive = [step] if step else []
        monkeypatch.setattr(Ledger, "append", mortal(alive))
        fields = job | {"model": f"{job['model']}-{step}"}
        states.add(whole_life(fields, alive))
        assert set(Counter(trained(fields)).values()) == {1}
    assert len(states) == 1


def test_undone_quarantine_is_found_anew(job, lake):
    harm(lake / "part-2.parquet", "corrupt pages")
    first = train(job)
    rewind(job["model"], 0)
    report = train(again(job))
    assert [one.path for one in report.quarantined] == ["part-2.parquet"]
    assert report.state_sha256 == first.state_sha256


def test_excluded_file_leaves_the_quarantine_for_good(job, lake):
    path = lake / "part-2.parquet"
    good = path.read_bytes()
    corrupt_pages(path)
    first = train(job)
    rewind(job["model"], first.version - 1, exclude=["part-2.parquet"])
    assert train(again(job)).in_quarantine == 0
    path.write_bytes(good)
    report = train(again(job))
    assert (report.in_quarantine, "part-2.parquet" in trained(job)) == (0, False)


def test_verify_notes_what_is_in_quarantine_and_what_was_replaced(job, lake):
    path = lake / "part-2.parquet"
    good = cut(path)
    train(job)
    report = verify(job["model"])
    (note,) = report.findings
    assert (report.sound, note.where) == (True, "part-2.parquet")
    assert "in quarantine since version 1: part-2.parquet: expected a Parquet file" in note.text
    path.write_bytes(good)
    (note,) = verify(job["model"]).findings
    assert note.text.startswith("not learnt yet: new")
    train(again(job))
    assert verify(job["model"]).findings == []


def test_commands_warn_and_end_with_exit_code_0(job, lake, onepass):
    harm(lake / "part-2.parquet", "unfinished")
    arguments = [job["lake"], "--label", "y", "--model", job["model"], "--on-bad", "quarantine"]
    code, out, err = onepass("train", *arguments)
    assert code == 0
    assert "warning: in quarantine until it is replaced: part-2.parquet: expected a Parquet" in err
    assert "put in quarantine until replaced: 1 file: onepass log" in out
    code, out, err = onepass("train", "--model", job["model"])
    assert (code, err) == (0, "")
    assert "\nin quarantine until replaced: 1 file: onepass log" in out
    _, out, _ = onepass("log", job["model"])
    assert "quarantine" in next(line for line in out.splitlines() if "part-2.parquet" in line)
    assert onepass("verify", job["model"])[0] == 0


# -- object stores ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["unfinished", "corrupt pages"])
def test_object_with_another_etag_is_taken_up_once(job, lake, upload, how, reads):
    path = lake / "part-2.parquet"
    good = path.read_bytes()
    harm(path, how)
    job |= {"lake": upload(lake, "lakes/numbers")}
    assert train(job).in_quarantine == 1
    reads.clear()
    upload(lake, "lakes/numbers")
    report = train(again(job))
    assert (report.partitions, report.in_quarantine, reads["part-2.parquet"]) == (0, 1, 0)
    path.write_bytes(good)
    upload(lake, "lakes/numbers")
    assert train(again(job)).partitions == 1
    report = train(again(job))
    assert (report.partitions, report.in_quarantine) == (0, 0)
    assert Counter(trained(job)) == {f"part-{i}.parquet": 1 for i in range(5)}


# -- late partitions -------------------------------------------------------------------------------


def test_file_that_lands_late_in_an_old_folder_is_the_only_one_trained(tmp_path, job):
    lake = tmp_path / "dates"
    for day in (26, 27, 28):
        (lake / f"date=2026-11-{day}").mkdir(parents=True)
        pq.write_table(number_table(300, day), lake / f"date=2026-11-{day}/a.parquet")
    job |= {"lake": str(lake), "exclude": ["date"]}
    train(job)
    pq.write_table(number_table(200, 5), lake / "date=2026-11-26/late.parquet")
    report = train(again(job))
    assert (report.partitions, report.rows) == (1, 200)
    assert trained(job)[-1] == "date=2026-11-26/late.parquet"
