"""Restorer: a state is read, or learnt again to its recorded bytes, and nothing else is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import refine
from onepass.errors import BadPartition, ChangedPartition, ForeignModel
from onepass.ledger.entries import digest, dump_entry
from onepass.model.directory import OpenModel, open_model
from onepass.stream.workers import Workers
from onepass.training.learn_group import GroupLearner
from onepass.training.restore import Restorer
from places import model_keys
from recording import Recorder
from small import train

VERSIONS = [2, 3, 4, 5, 6]
"""Versions with a state; 1 is the plan, and states of 2 and 3 are no longer kept."""


@pytest.fixture
def job(make_lake, tmp_path) -> dict[str, Any]:
    job = {"lake": str(make_lake(5)), "label": "y", "model": str(tmp_path / "model")}
    train(job | {"solver": "sgd"})
    return job


Opened = tuple[OpenModel, Restorer, Recorder]


@pytest.fixture
def opened(job) -> Callable[[], Any]:
    """Open the model as it is now, with a restorer and what this reports."""

    @contextmanager
    def open_one() -> Iterator[Opened]:
        model, recorder = open_model(job["model"]), Recorder()
        with Workers() as workers:
            learner = GroupLearner(model.file, model.file.job, workers, recorder)
            yield model, Restorer(model, learner), recorder

    return open_one


def state_path(job: dict[str, Any], version: int) -> Path:
    entry = open_model(job["model"]).ledger.entries[version - 1]
    return Path(job["model"]) / entry.state.key


def lose(job: dict[str, Any], *versions: int) -> None:
    for version in versions:
        state_path(job, version).unlink()


def content(job: dict[str, Any]) -> dict[str, bytes]:
    return {key: (Path(job["model"]) / key).read_bytes() for key in model_keys(job["model"])}


def file_of(job: dict[str, Any], version: int) -> Path:
    entry = open_model(job["model"]).ledger.entries[version - 1]
    return Path(job["lake"]) / entry.partitions[0].path


def retrained(*versions: int) -> list[str]:
    return [f"retraining version {version}, whose state is lost" for version in versions]


# -- newest --------------------------------------------------------------------------------------


def test_newest_state_is_read_and_nothing_learnt(job, opened):
    before = content(job)
    with opened() as (model, restorer, recorder):
        state = restorer.newest()
        newest = model.ledger.history.learnt()[-1]
        assert newest.version == VERSIONS[-1]
        assert digest(state.dump()) == newest.state.sha256
    assert recorder.notes == []
    assert content(job) == before


@pytest.mark.parametrize("lost", [[6], [5, 6], [4, 5, 6]], ids=str)
def test_lost_newest_states_are_learnt_again_and_stored(job, opened, lost):
    before = content(job)
    lose(job, *lost)
    with opened() as (model, restorer, recorder):
        state = restorer.newest()
        assert digest(state.dump()) == model.ledger.history.learnt()[-1].state.sha256
    # States before the kept ones are steps on the way if no state is left to begin with.
    assert recorder.notes == retrained(*(VERSIONS if len(lost) == 3 else lost))
    assert content(job) == before


def test_damaged_newest_state_is_a_lost_one(job, opened):
    before = content(job)
    path = state_path(job, 6)
    path.write_bytes(path.read_bytes()[:-1])
    with opened() as (_, restorer, recorder):
        restorer.newest()
    assert recorder.notes == retrained(6)
    assert content(job) == before


@pytest.mark.parametrize(
    ("harm", "error"), [("gone", BadPartition), ("changed", ChangedPartition)], ids=["gone", "new"]
)
def test_newest_state_cannot_be_learnt_again_without_its_file(job, opened, harm, error):
    path = file_of(job, 6)
    lose(job, 6)
    if harm == "gone":
        path.unlink()
    else:
        pq.write_table(number_table(90, seed=5), path)
    before = content(job)
    with opened() as (_, restorer, _), pytest.raises(error, match=path.name) as caught:
        restorer.newest()
    assert str(caught.value).endswith(f"onepass rewind {job['model']} --to 5")
    assert content(job) == before


def test_lost_refinement_is_refused_with_the_version_to_go_back_to(job, opened):
    refine({"model": job["model"]}, n_passes=3)
    lose(job, 7)
    with opened() as (_, restorer, _), pytest.raises(ForeignModel, match="--to 6") as caught:
        restorer.newest()
    assert "batch passes are not repeated" in str(caught.value)


# -- ensure --------------------------------------------------------------------------------------


def test_state_that_is_there_needs_nothing(job, opened):
    before = content(job)
    with opened() as (model, restorer, recorder):
        assert restorer.ensure(model.ledger.history.learnt()[:4]) == []
        assert restorer.ensure([]) == []
    assert recorder.notes == []
    assert content(job) == before


def test_state_that_is_no_longer_kept_is_learnt_again_and_it_alone_is_stored(job, opened):
    before = content(job)
    with opened() as (model, restorer, recorder):
        second = model.ledger.history.learnt()[:2]
        assert restorer.ensure(second) == [2, 3]
        assert digest(model.ledger.read_state(second[-1])) == second[-1].state.sha256
    assert recorder.notes == [f"retraining version {n}, whose state is gone" for n in (2, 3)]
    after = content(job)
    assert set(after) - set(before) == {second[-1].state.key}
    assert {key: after[key] for key in before} == before


def test_states_between_a_stored_one_and_the_last_are_learnt_on_top_of_it(job, opened):
    lose(job, 5, 6)
    with opened() as (model, restorer, _):
        assert restorer.ensure(model.ledger.history.learnt()) == [5, 6]
    assert not (Path(job["model"]) / model.ledger.history.learnt()[-2].state.key).exists()
    assert state_path(job, 6).exists()


# -- differences ---------------------------------------------------------------------------------


def test_newest_version_that_is_as_it_was_learnt_has_no_differences(job, opened):
    before = content(job)
    with opened() as (_, restorer, recorder):
        assert restorer.differences() == []
    assert recorder.notes == []
    assert content(job) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("rows", 1), ("loss", 0.25), ("metrics", {"rmse": 0.5}), ("counts", {"null_label": 3})],
)
def test_number_of_the_newest_version_that_was_changed_is_named(job, opened, field, value):
    entries = open_model(job["model"]).ledger.entries
    forged = entries[-1].model_copy(update={field: value})
    path = Path(job["model"]) / f"log/{entries[-1].version:020d}.json"
    path.write_bytes(dump_entry(forged))
    with opened() as (_, restorer, _):
        (difference,) = restorer.differences()
    was = getattr(entries[-1], field)
    assert difference == f"says {field} {value}, but learning it again gives {was}"


def test_refinement_has_no_differences_to_tell(job, opened):
    refine({"model": job["model"]}, n_passes=3)
    with opened() as (_, restorer, _), pytest.raises(ForeignModel, match="it is a refinement"):
        restorer.differences()
