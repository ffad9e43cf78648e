"""The promise of quality on real data: one pass of the flow ends where the batch optimum is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from onepass import Job, Model
from onepass.encode.encoder import Encoder
from onepass.errors import DataError
from onepass.model.directory import open_model

# Prefect and its dependencies warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]

L2 = 1e-6
"""Of the peers alone, per row: as good as none."""

LIMIT = 0.005
"""Excess of the holdout loss over the batch optimum's."""


def files(lake: Path) -> Iterator[tuple[dict[str, str], Path, pa.Table]]:
    """Key=value folders, path in the lake and rows of each file."""
    for path in sorted(lake.rglob("*.parquet")):
        at = path.relative_to(lake)
        hive = dict(part.split("=", 1) for part in at.parts[:-1])
        with pq.ParquetFile(path) as file:
            yield hive, at, file.read()


def write_halves(source: Path, out: Path, change=lambda table: table) -> tuple[Path, Path]:
    """A train lake of 80 % of the rows and a holdout lake of the others, folders kept."""
    rng = np.random.default_rng(0)
    for _, at, table in files(source):
        table = change(table)
        held_out = rng.random(table.num_rows) < 0.2
        for name, rows in (("train", ~held_out), ("holdout", held_out)):
            path = out / name / at
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table.filter(pa.array(rows)), path, row_group_size=20_000)
    return out / "train", out / "holdout"


def encoded(lake: Path, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of a lake as the model sees them."""
    encoder = Encoder(model.file.encoder, drop_null_label=True)
    blocks = [encoder.encode(table, hive).block for hive, _, table in files(lake)]
    x = np.concatenate([block.dense for block in blocks]).astype(float)
    return x, np.concatenate([block.label for block in blocks])


def ridge_loss(x, y, x_held_out, y_held_out) -> float:
    peer = Ridge(alpha=L2 * len(y)).fit(x, y)
    # Ours are clipped to the labels seen as well.
    predictions = np.clip(peer.predict(x_held_out), y.min(), y.max())
    return float(np.mean((predictions - y_held_out) ** 2))


def logistic_loss(x, y, x_held_out, y_held_out) -> float:
    peer = LogisticRegression(
        C=1 / (L2 * len(y)), tol=1e-8, max_iter=1000, solver="newton-cholesky"
    )
    z = peer.fit(x, y).decision_function(x_held_out)
    return float(np.mean(np.logaddexp(0, z) - y_held_out * z))


def assert_as_good_as_batch(job: Job, outcome: dict[str, Any], peer_loss) -> None:
    model = Model.load(job.model)
    assert model.file.job.solver == "newton"
    x, y = encoded(Path(job.lake), model)
    x_held_out, y_held_out = encoded(Path(job.holdout), model)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0] = 1
    x, x_held_out = (x - mean) / deviation, (x_held_out - mean) / deviation
    ours, batch = outcome["holdout"]["loss"], peer_loss(x, y, x_held_out, y_held_out)
    assert outcome["rows"] == len(y)
    assert outcome["holdout"]["rows"] == len(y_held_out)
    excess = f"ours {ours:.6g}, batch {batch:.6g}, excess {ours / batch - 1:+.5%}"
    print(excess)
    assert abs(ours / batch - 1) < LIMIT, excess


def run(job: Job) -> dict[str, Any]:
    """One run of the train flow."""
    from prefect_onepass.train import train

    return train(job)


def test_air_quality_is_as_good_as_batch_ridge(real_data, tmp_path):
    lake, holdout = write_halves(real_data / "beijing_air", tmp_path)
    job = Job(lake=lake, label="PM2.5", model=tmp_path / "model", holdout=holdout)
    with pytest.raises(DataError, match="on_null_label: drop"):
        run(job)
    assert not (tmp_path / "model").exists()
    job = Job(**job.model_dump(include=job.model_fields_set), on_null_label="drop")
    outcome = run(job)
    assert outcome["partitions"] == 12
    dropped = sum(e.counts["null_label"] for e in open_model(job.model).ledger.history.trained())
    assert dropped + outcome["rows"] == sum(len(table) for _, _, table in files(lake))
    assert_as_good_as_batch(job, outcome, ridge_loss)


def test_flight_delay_is_as_good_as_batch_ridge(real_data, tmp_path):
    lake, holdout = write_halves(real_data / "flights_200k", tmp_path)
    job = Job(lake=lake, label="delay", model=tmp_path / "model", holdout=holdout)
    assert_as_good_as_batch(job, run(job), ridge_loss)


def test_late_flights_are_as_good_as_batch_logistic_regression(real_data, tmp_path):
    def late(table: pa.Table) -> pa.Table:
        label = pc.cast(pc.greater(table["delay"], 15), pa.int8())
        return table.drop_columns("delay").append_column("late", label)

    lake, holdout = write_halves(real_data / "flights_200k", tmp_path, late)
    job = Job(lake=lake, label="late", model=tmp_path / "model", holdout=holdout)
    outcome = run(job)
    assert 0.15 < outcome["holdout"]["metrics"]["positive"] < 0.25
    assert_as_good_as_batch(job, outcome, logistic_loss)
