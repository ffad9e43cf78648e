"""Progressive metrics of a run: of all rows, and of the last tenth, the same after any restart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import train, verify
from onepass.actions.train import plan, train_pending
from onepass.ledger.entries import dump_entry
from onepass.model.directory import open_model


def write_lake(folder: Path, n_rows: list[int], *, loss: str = "squared") -> Path:
    folder.mkdir()
    for i, n in enumerate(n_rows):
        rng = np.random.default_rng(i)
        x = rng.normal(size=(n, 3))
        y = x @ [2.0, -1.0, 0.5] + rng.normal(size=n)
        columns = {f"x{j}": x[:, j] for j in range(3)}
        label = y > 4 if loss == "logistic" else y
        pq.write_table(pa.table(columns | {"y": label}), folder / f"part-{i}.parquet")
    return folder


def job(lake: Path, name: str = "model", **given):
    return {"lake": str(lake), "label": "y", "model": str(lake.with_name(name)), **given}


def recorded(model: str):
    trained = open_model(model).ledger.history.trained()
    return [(entry.loss, entry.metrics, entry.last_tenth, entry.state.sha256) for entry in trained]


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_single_file_of_few_rows_is_judged_by_rows_that_were_predicted(tmp_path, loss):
    report = train(job(write_lake(tmp_path / "lake", [5000], loss=loss)))
    name, least = ("r2", 0.7) if loss == "squared" else ("auc", 0.9)
    assert report.metrics[name] > least
    assert report.loss < report.metrics["constant_loss"]
    assert report.last_tenth.rows == 500
    assert report.last_tenth.metrics[name] > least


def test_last_tenth_is_recorded_with_its_group_and_comes_out_the_same_again(tmp_path):
    given = job(write_lake(tmp_path / "lake", [5000, 3000]))
    train(given)
    assert [tenth.rows for _, _, tenth, _ in recorded(given["model"])] == [500, 300]
    report = verify(given["model"], retrain=True)
    assert (report.sound, report.findings) == (True, [])


def test_run_that_stops_after_each_group_records_the_same_metrics(tmp_path):
    lake = write_lake(tmp_path / "lake", [200, 900, 300, 2000, 700])
    whole, parts = job(lake), job(lake, "parts")
    report = train(whole)
    plan(parts)
    for _ in range(5):
        train_pending({"model": parts["model"]}, max_seconds=0)
    assert recorded(parts["model"]) == recorded(whole["model"])
    assert 410 <= report.last_tenth.rows <= 2050


@pytest.mark.parametrize("memory", ["600MB", "4GB"])
def test_metrics_do_not_depend_on_the_memory_limit(tmp_path, memory):
    lake = write_lake(tmp_path / "lake", [3000, 1000])
    train(job(lake))
    train(job(lake, "other", memory_limit=memory))
    assert recorded(str(tmp_path / "other")) == recorded(str(tmp_path / "model"))


def test_last_tenth_of_several_epochs_is_that_of_rows_seen_for_the_first_time(tmp_path):
    report = train(job(write_lake(tmp_path / "lake", [3000, 3000]), epochs=3))
    assert report.rows == 18_000
    assert report.last_tenth.rows == 600


def test_model_of_an_earlier_version_predicts_and_records_as_it_did(tmp_path):
    given = job(write_lake(tmp_path / "lake", [2000, 1000, 600]), order="stored")
    plan(given)
    path = Path(given["model"]) / "model.json"
    assert '"start": "careful"' in path.read_text()
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    text = path.read_text().replace('  "start": "careful"', '  "start": "plain"')
    (earlier / "model.json").write_text(text)
    report = train({"model": str(earlier)})
    first, *_ = open_model(str(earlier)).ledger.history.trained()
    # The first block is predicted by the centre of the sample's labels.
    assert first.metrics["r2"] == pytest.approx(0, abs=0.01)
    assert first.last_tenth is None
    assert b"last_tenth" not in dump_entry(first)
    assert report.last_tenth.rows == 600
