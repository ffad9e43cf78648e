"""Evaluation is what the predictions of the model say when they are held against the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import Model, evaluate
from onepass.errors import BadPartition, EmptyLake, JobError, ModelNotFound
from small import train


@pytest.fixture(params=["newton", "sgd"])
def solver(request) -> str:
    return request.param


def rows_of(lake: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted(lake.iterdir()))


def test_regression_metrics_are_those_of_the_predictions(make_lake, tmp_path, solver):
    train({"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "m"), "solver": solver})
    holdout = make_lake(3, 333, name="holdout")
    rows = rows_of(holdout)
    y, p = rows["y"].to_numpy(), Model.load(tmp_path / "m").predict(rows)
    report = evaluate(str(holdout), tmp_path / "m")
    error = y - p
    assert report.rows == len(y)
    assert report.loss == pytest.approx(np.mean(error**2), rel=1e-9)
    assert report.metrics["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-9)
    assert report.metrics["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-9)
    assert report.metrics["r2"] == pytest.approx(1 - np.mean(error**2) / y.var(), rel=1e-9)


def test_classification_metrics_are_those_of_the_predictions(make_lake, tmp_path, solver):
    lake = make_lake(classes=True)
    train({"lake": str(lake), "label": "y", "model": str(tmp_path / "m"), "solver": solver})
    holdout = make_lake(3, 333, classes=True, name="holdout")
    rows = rows_of(holdout)
    y, p = rows["y"].to_numpy(), Model.load(tmp_path / "m").predict(rows)
    report = evaluate(str(holdout), tmp_path / "m")
    pairs = p[y == 1][:, None] - p[y == 0][None, :]
    auc = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    log_loss = -np.mean(np.where(y == 1, np.log(p), np.log1p(-p)))
    assert report.rows == len(y)
    assert report.loss == pytest.approx(log_loss, rel=1e-9)
    assert report.metrics["log_loss"] == pytest.approx(log_loss, rel=1e-9)
    assert report.metrics["accuracy"] == pytest.approx(np.mean((p > 0.5) == y), abs=1e-12)
    assert report.metrics["auc"] == pytest.approx(auc, abs=2e-3)


@pytest.mark.parametrize("stored", ["text", "bool", "dictionary"])
def test_two_classes_are_the_same_however_they_are_stored(make_lake, tmp_path, stored):
    lake, other = make_lake(4, classes=True), make_lake(4, classes=True, name="other")
    for path in other.iterdir():
        table = pq.read_table(path)
        flags = table["y"].to_numpy() == 1
        y = pa.array(flags if stored == "bool" else np.where(flags, "yes", "no"))
        y = y.dictionary_encode() if stored == "dictionary" else y
        pq.write_table(table.set_column(4, "y", y), path, row_group_size=150)
    reports = []
    for folder in (lake, other):
        job = {"lake": str(folder), "label": "y", "model": f"{folder}-model"}
        train(job)
        reports.append(evaluate(str(folder), job["model"]))
    assert reports[1].metrics == reports[0].metrics
    assert reports[1].tables == reports[0].tables
    assert len(reports[0].tables["calibration"]) == 10
    assert Model.load(f"{other}-model").file.job.loss == "logistic"


def test_class_that_the_model_does_not_know_names_the_file(make_lake, tmp_path):
    lake = make_lake(3, classes=True)
    train({"lake": str(lake), "label": "y", "model": str(tmp_path / "m")})
    table = number_table(50, seed=7, classes=True)
    y = pa.array([0, 1, 2] * 16 + [0, 1], pa.int8())
    pq.write_table(table.set_column(4, "y", y), lake / "part-9.parquet")
    with pytest.raises(
        BadPartition, match=r"label of 0 or 1, found 2 \(16 rows\)\n.*--classes"
    ) as caught:
        evaluate(str(lake), tmp_path / "m")
    error = caught.value
    assert (error.path, error.row_group, error.column) == ("part-9.parquet", 0, "y")


def test_weights_of_the_rows_count(make_lake, tmp_path):
    lake = make_lake()
    for path in lake.iterdir():
        table = pq.read_table(path)
        pq.write_table(table.append_column("w", pa.array(np.arange(len(table)) % 3.0)), path)
    job = {"lake": str(lake), "label": "y", "model": str(tmp_path / "m"), "weight": "w"}
    train(job)
    rows = rows_of(lake)
    y, w = rows["y"].to_numpy(), rows["w"].to_numpy()
    error = y - Model.load(tmp_path / "m").predict(rows)
    assert evaluate(str(lake), tmp_path / "m").loss == pytest.approx(
        np.average(error**2, weights=w)
    )


def test_evaluation_leaves_the_model_as_it_is(make_lake, tmp_path):
    train({"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "m")})
    before = {path: path.read_bytes() for path in (tmp_path / "m").rglob("*.*")}
    assert evaluate(str(tmp_path / "lake"), tmp_path / "m") is not None
    assert {path: path.read_bytes() for path in (tmp_path / "m").rglob("*.*")} == before


def test_what_is_not_there_is_said(make_lake, tmp_path):
    lake = make_lake(2)
    with pytest.raises(ModelNotFound):
        evaluate(str(lake), tmp_path / "m")
    train({"lake": str(lake), "label": "y", "model": str(tmp_path / "m")})
    with pytest.raises(JobError, match="does not exist"):
        evaluate(str(tmp_path / "nothing"), tmp_path / "m")
    pq.write_table(number_table(0, seed=0), tmp_path / "empty.parquet")
    with pytest.raises(EmptyLake, match="no row with a label 'y'"):
        evaluate(str(tmp_path / "empty.parquet"), tmp_path / "m")
