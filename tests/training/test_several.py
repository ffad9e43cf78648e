"""Several labels in one pass: each model is that of a run of its own, to the last byte."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
from onepass import train
from onepass.actions.train_several import LabelsOutcome
from onepass.errors import BadPartition, JobError, ModelNotFound, VersionRefused
from onepass.ledger.entries import SkipEntry
from onepass.model.directory import open_model
from onepass.model.file import ModelFile
from processes import run
from recording import Recorder
from several import (
    LABELS,
    count_rows_read,
    history,
    rows,
    train_alone,
    train_copy,
    write_lake,
)
from several import train as train_small


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    lake = write_lake(tmp_path / "lake", 4)
    return {"lake": str(lake), "label": LABELS, "model": str(tmp_path / "models"), "parallel": 1}


@pytest.fixture
def n_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of rows of the blocks that have been read."""
    return count_rows_read(monkeypatch)


def model_of(given: dict[str, Any], label: str) -> Path:
    return Path(given["model"]) / label


@pytest.mark.parametrize(
    "fields",
    [
        {"solver": "newton", "epochs": 2, "folds": 3, "exclude": ["shop"]},
        {"solver": "sgd", "learning_rate": [0.1, 0.3], "order": "stored"},
        {"where": "x3 > -1", "sample": 0.7, "on_null_label": "drop", "loss": {"amount": "gamma"}},
        {"interleave": 2, "solver": "nag", "on_null_label": "drop"},
        {"parallel": 4, "label": ["amount", "x3"], "l2": [0.1, 10.0], "exclude": ["shop"]},
        {"parallel": 4, "epochs": 2, "loss": {"paid": "probit", "amount": "poisson"}},
    ],
    ids=["folds", "candidates", "selected", "interleaved", "rounds", "losses"],
)
def test_each_model_is_that_of_a_run_of_its_own(given, tmp_path, n_read, fields):
    n_files = 12 if "parallel" in fields else 4
    write_lake(tmp_path / "lake", n_files, 200, nulls=fields.get("on_null_label") == "drop")
    assert train_small(given | fields) == {}
    together = sum(n_read)
    given |= fields
    losses = given.pop("loss", {})
    for label in given["label"]:
        n_read.clear()
        own = {"loss": losses[label]} if label in losses else {}
        train_alone(given | own, label, tmp_path / "alone" / label)
        # Models of other losses are ready for rounds at other times, and read apart until then.
        assert sum(n_read) == together or len({*losses.values()}) > 1
        assert history(model_of(given, label)) == history(tmp_path / "alone" / label)
        train_copy(model_of(given, label), tmp_path / "copy" / label)
        assert history(model_of(given, label)) == history(tmp_path / "copy" / label)
    entries = history(model_of(given, "amount"))
    assert any(len(entry.get("round", [])) > 1 for entry in entries) == ("parallel" in fields)


def test_files_that_land_are_read_once_for_all_labels(given, tmp_path, n_read):
    train_small(given)
    n_read.clear()
    pq.write_table(rows(500, 9), tmp_path / "lake" / "part-09.parquet")
    train_small({"model": given["model"]})
    assert sum(n_read) == 500
    for label in LABELS:
        train_copy(model_of(given, label), tmp_path / "copy" / label)
        assert open_model(str(model_of(given, label))).ledger.version == 7


@pytest.mark.parametrize(("parallel", "n_files"), [(1, 3), (4, 12)])
def test_killed_at_any_step_goes_on_to_the_same_bytes(given, tmp_path, parallel, n_files):
    """The models differ in their number of commits after a kill, and meet again."""
    labels = ["amount", "x3"] if parallel > 1 else LABELS[:2]
    given |= {"label": labels, "parallel": parallel, "exclude": ["shop"]}
    shutil.rmtree(tmp_path / "lake")
    write_lake(tmp_path / "lake", n_files, 100)
    whole = given | {"model": str(tmp_path / "whole")}
    train_small(whole)
    expected = [history(model_of(whole, label)) for label in given["label"]]
    assert any(len(entry.get("round", [])) > 1 for entry in expected[0]) == (parallel > 1)
    calls = range(3, 76, 1 if int(os.environ.get("REPEAT", "1")) > 1 else 9)
    jobs = [given | {"model": str(tmp_path / f"killed-{call}")} for call in calls]
    outcomes = run(
        *(
            {"do": "train_several_or_die", "job": job, "die_at": "commit", "call": call}
            for job, call in zip(jobs, calls, strict=True)
        ),
        together=True,
    )
    assert [one.code for one in outcomes].count(-signal.SIGKILL) > len(jobs) // 2
    versions = set()
    for job in jobs:
        places = [model_of(job, label) for label in given["label"]]
        if all((one / "model.json").exists() for one in places):
            versions.add(tuple(open_model(str(one)).ledger.version for one in places))
        train_small(job)
        assert [history(one) for one in places] == expected
    assert any(one != other for one, other in versions)


def bad_for_paid(folder: Path, name: str) -> None:
    """A file of which the first label alone has values that it cannot have."""
    table = rows(400, 11)
    column = table.schema.get_field_index("amount")
    amounts = table.column("amount").to_pylist()
    amounts[250] = float("inf")
    table = table.set_column(column, "amount", pa.array(amounts))
    pq.write_table(table, folder / name, row_group_size=300)


@pytest.mark.parametrize("parallel", [1, 4])
def test_file_that_is_bad_for_one_label_is_left_out_of_its_model_alone(given, tmp_path, parallel):
    given |= {"parallel": parallel, "on_bad": "quarantine"}
    train_small(given)
    for label in LABELS:
        train_copy(model_of(given, label), tmp_path / label, on_bad="quarantine")
    bad_for_paid(tmp_path / "lake", "part-06.parquet")
    for i in range(7, 10):
        pq.write_table(rows(400, i), tmp_path / "lake" / f"part-{i:02}.parquet")
    recorder = Recorder()
    assert train_small({"model": given["model"], "on_bad": "quarantine"}, recorder) == {}
    skips = [one for one in recorder.entries if isinstance(one, SkipEntry)]
    assert [one.partition.path for one in skips] == ["part-06.parquet"]
    for label in LABELS:
        small.train({"model": str(tmp_path / label), "on_bad": "quarantine"})
        assert history(model_of(given, label)) == history(tmp_path / label)


def test_error_of_one_label_stops_its_model_alone(given, tmp_path):
    train_small(given)
    bad_for_paid(tmp_path / "lake", "part-06.parquet")
    pq.write_table(rows(400, 7), tmp_path / "lake" / "part-07.parquet")
    recorder = Recorder()
    with pytest.raises(BadPartition, match=r"part-06.*'amount'"):
        train({"model": given["model"]}, progress=recorder)
    assert "training has stopped for 'amount'" in recorder.notes[-1]
    n_left = {
        label: len(open_model(str(model_of(given, label))).ledger.history.pending())
        for label in LABELS
    }
    assert n_left["paid"] == n_left["churned"] == 0 < n_left["amount"]


def test_models_that_were_created_apart_are_trained_one_after_the_other(given, tmp_path, n_read):
    train_small(given)
    place = model_of(given, "churned") / "model.json"
    file = json.loads(place.read_text())
    shutil.rmtree(model_of(given, "churned"))
    place.parent.mkdir()
    place.write_text(json.dumps(file | {"batch_rows": 64}))
    n_read.clear()
    train_small({"model": given["model"]})
    train_copy(model_of(given, "churned"), tmp_path / "copy")
    assert history(model_of(given, "churned")) == history(tmp_path / "copy")


def test_columns_of_other_labels_count_where_memory_decides_on_the_order_of_rows(given):
    train_small(given)
    for label in LABELS:
        text = (model_of(given, label) / "model.json").read_text()
        file = ModelFile.model_validate_json(text)
        assert file.counted.names == tuple(sorted({*LABELS} - {label}))
        assert file.counted.texts == (() if label == "churned" else ("churned",))
        assert file.job.exclude == [one for one in LABELS if one != label]
        assert not {*LABELS} & {name for one in file.encoder.columns for name in one.source_names}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"label": ["paid", "paid"]},
            "^--label: expected each column once, found 'paid' more than",
        ),
        ({"label": []}, r"^--label: expected a column or a list of columns, found \[\]$"),
        ({"label": ["paid", 3]}, "^--label: expected names of columns, found 3$"),
        ({"label": ["paid", "sold"]}, "no column 'sold'"),
        ({"weight": "amount"}, "the label 'amount' cannot be the weight as well"),
        ({"features": ["x1", "paid"]}, "the label 'paid' cannot be a feature as well"),
        ({"features": ["x1", "churned"]}, r"--features names \['churned'\]"),
        ({"cross": ["churned*shop"]}, r"--cross names \['churned'\]"),
        ({"loss": "sold=gamma"}, r"--loss names \['sold'\]"),
        ({"loss": "paid"}, "loss"),
        ({"prior": "/models/old"}, "--prior is of the model of one label"),
        ({"label": "paid, sold"}, "no column 'sold'"),
    ],
)
def test_wrong_labels_are_refused_before_anything_is_created(given, fields, message):
    with pytest.raises(JobError, match=message):
        train(given | fields)
    assert not Path(given["model"]).exists()


def test_directory_of_several_models_is_none_itself(given):
    train_small(given)
    for fields in ({}, {"label": "paid"}):
        with pytest.raises(ModelNotFound, match=r"several labels \('paid': .*/models/paid"):
            open_model(given["model"]) if not fields else train(given | fields)
    with pytest.raises(JobError, match="this run asks for"):
        train(given | {"label": ["paid", "amount"]})
    with pytest.raises(JobError, match="is of one label"):
        train(given | {"model": str(model_of(given, "paid"))})


def test_model_that_is_gone_is_made_anew_by_the_whole_job(given):
    train_small(given)
    before = history(model_of(given, "paid"))
    shutil.rmtree(model_of(given, "paid"))
    with pytest.raises(ModelNotFound, match="or is gone; run the first command again, with LAKE"):
        train({"model": given["model"]})
    train_small(given)
    assert history(model_of(given, "paid")) == before


def test_options_of_a_loss_are_those_of_the_labels_that_name_it(given):
    loss = {"amount": "tweedie", "churned": "logistic"}
    outcome = train(given | {"loss": loss, "power": [1.3, 1.6]})
    jobs = {label: open_model(model_of(given, label)).file.job for label in LABELS}
    assert [jobs[label].loss for label in LABELS] == ["logistic", "logistic", "tweedie"]
    assert [len(outcome[label].candidates) for label in LABELS] == [0, 0, 2]
    with pytest.raises(KeyError, match="sold"):
        outcome["sold"]


def test_refused_option_names_the_label(given):
    with pytest.raises(JobError, match=r"label 'paid': (.|\n)*by itself"):
        train(
            given | {"label": ["paid", "amount"], "class_weight": "balanced"} | {"loss": "squared"}
        )
    assert not Path(given["model"]).exists()


def test_one_label_and_a_stray_comma_is_one_label(given):
    report = train(given | {"label": "paid,"})
    assert not isinstance(report, LabelsOutcome)
    with pytest.raises(
        JobError, match=r"^--label: expected a column or a list of columns, found ','"
    ):
        train(given | {"label": ",", "model": given["model"] + "-of-none"})


def test_column_with_a_comma_is_one_label(given, tmp_path):
    table = rows(400, 0).rename_columns({"paid": "paid, net"})
    pq.write_table(table, tmp_path / "one.parquet")
    given |= {"lake": str(tmp_path / "one.parquet")}
    for name, label in (("text", "paid, net"), ("list", ["paid, net"])):
        report = train(given | {"label": label, "model": str(tmp_path / name)})
        assert not isinstance(report, LabelsOutcome)
        again = train({"label": label, "model": str(tmp_path / name)})
        assert again.partitions == 0
    outcome = train(given | {"label": ["paid, net", "amount"]})
    assert [Path(one.model).name for one in outcome.models] == ["paid_net-2e0892f2", "amount"]


def test_guard_and_holdout_are_those_of_each_model(given, tmp_path):
    holdout = write_lake(tmp_path / "holdout", 1)
    outcome = train(given | {"holdout": str(holdout)})
    assert isinstance(outcome, LabelsOutcome)
    assert outcome["paid"].holdout.metrics["auc"] > 0.7
    assert outcome["amount"].holdout.metrics["r2"] > 0.5
    table = rows(4000, 12)
    noise = pa.array(table.column("paid").to_numpy()[::-1])
    table = table.set_column(table.schema.get_field_index("paid"), "paid", noise)
    pq.write_table(table, tmp_path / "lake" / "part-10.parquet")
    with pytest.raises(VersionRefused) as refused:
        train({"model": given["model"], "max_loss_increase": 0.05})
    found = refused.value.outcome
    assert isinstance(found, LabelsOutcome)
    published = {one.label: one.published.outcome for one in found.models}
    assert published["paid"] == "refused"
    assert "refused" not in {published["churned"], published["amount"]}


def test_models_in_an_object_store_are_those_of_a_disk(given, tmp_path, bucket, upload):
    train_small(given)
    remote = given | {"lake": upload(tmp_path / "lake", "lake"), "model": f"{bucket}/models"}
    train_small(remote)
    for label in LABELS:
        digests = [one["sha256"] for one in history(f"{bucket}/models/{label}")]
        assert digests == [one["sha256"] for one in history(model_of(given, label))]
    train_small({"model": f"{bucket}/models"})


CALLS_OF_CREATION = range(2, 26, 3)
"""Steps of commits while two models and the file that names them are created."""


def test_directory_whose_creation_was_killed_says_so_and_the_first_command_goes_on(given, tmp_path):
    given |= {"label": LABELS[:2]}
    train_small(given)
    jobs = [given | {"model": str(tmp_path / f"killed-{call}")} for call in CALLS_OF_CREATION]
    outcomes = run(
        *(
            {"do": "train_several_or_die", "job": job, "die_at": "commit", "call": call}
            for call, job in zip(CALLS_OF_CREATION, jobs, strict=True)
        ),
        together=True,
    )
    assert [one.code for one in outcomes] == [-signal.SIGKILL] * len(jobs)
    n_created = set()
    for job in jobs:
        there = [(model_of(job, label) / "model.json").exists() for label in job["label"]]
        n_created.add(sum(there))
        if (Path(job["model"]) / "labels.json").exists() and not all(there):
            gone = model_of(job, job["label"][there.index(False)])
            with pytest.raises(
                ModelNotFound, match=rf"of several labels .*no model in '{gone}': .* first command"
            ):
                train({"model": job["model"]})
        else:
            assert sum(there) in {0, 2}
        train_small(job)
        for label in job["label"]:
            assert history(model_of(job, label)) == history(model_of(given, label))
    assert n_created == {0, 1, 2}


def test_models_that_an_earlier_version_left_without_their_labels_are_taken_up(given, tmp_path):
    train_small(given)
    half = given | {"model": str(tmp_path / "half")}
    (tmp_path / "half" / "paid").mkdir(parents=True)
    shutil.copy(model_of(given, "paid") / "model.json", tmp_path / "half" / "paid")
    train_small(half)
    for label in LABELS:
        assert history(model_of(half, label)) == history(model_of(given, label))
