"""Choosing a version: by number, by tag, the newest, or the one that `current` names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakes import number_table, write_files
from onepass import Model, evaluate, rewind, score, tag, train
from onepass.errors import ForeignModel, JobError
from onepass.ledger.store import open_store
from onepass.model import versions
from onepass.model.directory import open_model
from small import train as train_small


@pytest.fixture
def job(place, tmp_path: Path) -> dict[str, Any]:
    """A model of six versions: a plan, and one for each of five files."""
    files = {f"p{i}.parquet": number_table(200, i) for i in range(5)}
    lake = write_files(tmp_path / "lake", files)
    job = place.job(lake, "model") | {"order": "stored", "parallel": 1, "keep_states": 4}
    train_small(job)
    return job


def test_version_is_loaded_by_number_tag_and_word(job):
    model = job["model"]
    tag(model, "production", 4)
    expected = {"production": 4, 4: 4, "4": 4, 5: 5, "newest": 6, "current": 6, None: 6}
    for name, version in expected.items():
        assert Model.load(model, name).version == version
    assert Model.load(model, 4).rows == 600
    tag(model, "current", 5)
    assert [Model.load(model, name).version for name in (None, "current", "newest")] == [5, 5, 6]


def test_versions_predict_as_they_did_when_they_were_the_newest(job, tmp_path):
    rows = number_table(30, 77)
    tag(job["model"], "then", "newest")
    before = Model.load(job["model"]).predict(rows).tolist()
    lake = write_files(tmp_path / "lake", {"p9.parquet": number_table(300, 9)})
    if str(job["lake"]) == str(lake):
        assert train_small(job).partitions == 1
        assert Model.load(job["model"]).predict(rows).tolist() != before
    assert Model.load(job["model"], "then").predict(rows).tolist() == before


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (1, "version 1 is a plan and has no state$"),
        (2, "the state of version 2 is no longer kept; there are states of 3, 4, 5, 6\n.*tag"),
        (0, "there is no version 0 in .*whose newest is 6"),
        (99, "there is no version 99 in .*whose newest is 6"),
        (-3, "has no tag '-3'"),
        ("9" * 5000, "has no tag '999"),
        ("missing", "has no tag 'missing'; its tags: production; a version may also be"),
        ("../log", r"has no tag '\.\./log'"),
    ],
)
def test_version_that_is_not_there_is_refused(job, version, says):
    tag(job["model"], "production", 4)
    with pytest.raises(JobError, match=says):
        Model.load(job["model"], version)


def test_actions_take_a_version(job, tmp_path, onepass):
    tag(job["model"], "production", 4)
    lake, model = str(tmp_path / "lake"), job["model"]
    assert evaluate(lake, model, version="production").version == 4
    assert score(lake, model, tmp_path / "out", version=5).version == 5
    assert score(lake, model, tmp_path / "out", version="production").partitions == 5
    for command in (
        ["evaluate", lake, "--model", model],
        ["score", lake, "--model", model, "--out", tmp_path / "other"],
        ["summary", model],
    ):
        code, out, err = onepass(*command, "--version", "production", "--json")
        assert (code, '"version": 4' in out) == (0, True), err
        code, out, err = onepass(*command, "--version", "2")
        assert (code, "is no longer kept" in err) == (2, True)


def test_tag_on_a_version_that_no_longer_counts_stays(job):
    tag(job["model"], "production", 5)
    rewind(job["model"], 4)
    assert Model.load(job["model"]).version == 4
    assert Model.load(job["model"], "production").version == 5
    train(job)
    assert Model.load(job["model"], "production").version == 5
    assert Model.load(job["model"], "production").rows == 800


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_reading_survives_a_writer_that_deletes_states(job, tmp_path, monkeypatch):
    """Between the choice of a version and the reading of its state, others train and tag."""
    tag(job["model"], "current", 3)
    real, done = versions.chosen, []

    def overtaken(*args: Any) -> Any:
        entry = real(*args)
        if not done:
            done.append(entry.version)
            tag(job["model"], "current", 6)
            write_files(
                tmp_path / "lake", {f"q{i}.parquet": number_table(100, i) for i in range(3)}
            )
            train_small(job)
        return entry

    monkeypatch.setattr(versions, "chosen", overtaken)
    assert Model.load(job["model"]).version == 6
    assert done == [3]
    done.clear()
    write_files(tmp_path / "lake", {f"r{i}.parquet": number_table(100, i) for i in range(5)})
    assert Model.load(job["model"], "newest").version == 16


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_damaged_state_of_a_tag_is_told_and_nothing_else_is_loaded(job):
    tag(job["model"], "current", 5)
    [entry] = [e for e in open_model(job["model"]).ledger.history.learnt() if e.version == 5]
    open_store(job["model"]).put(entry.state.key, b"other bytes")
    with pytest.raises(ForeignModel, match=f"{entry.state.key}"):
        Model.load(job["model"])
    assert Model.load(job["model"], "newest").version == 6


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_states_that_a_run_with_fewer_has_deleted_are_not_missed(job, tmp_path, onepass):
    write_files(tmp_path / "lake", {"p9.parquet": number_table(100, 9)})
    train_small(job | {"keep_states": 1})
    assert len(list(Path(job["model"]).glob("state/*.npz"))) == 1
    code, out, err = onepass("verify", job["model"])
    assert (code, "sound: version 8 can be used" in out) == (0, True), out + err
    with pytest.raises(JobError, match="the state of version 6 is no longer kept"):
        Model.load(job["model"], 6)


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_missing_state_of_a_tag_is_told_with_what_to_do(job):
    # As an older onepass leaves it, which knows no tags and deletes the states that they name.
    tag(job["model"], "current", 4)
    (state,) = (Path(job["model"]) / "state").glob("00000004-*.npz")
    state.unlink()
    with pytest.raises(ForeignModel, match=r"is missing\n.*--version newest.*rewind .* --to 4"):
        Model.load(job["model"])
    assert Model.load(job["model"], "newest").version == 6
    rewind(job["model"], 4)
    assert Model.load(job["model"]).version == 4
