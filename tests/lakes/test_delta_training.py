"""A Delta table is trained, scored and evaluated row for row as its rows in plain files are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from delta_tables import HandWritten, column, removed, rows_by_deltalake
from onepass import Model, evaluate, score
from onepass.actions.summary import summarise
from onepass.errors import BadPartition
from small import train

COLUMNS = {"x": pa.float64(), "site": pa.string(), "y": pa.float64(), "day": pa.date32()}


def numbers(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    site = rng.choice(["north", "south"], n)
    return pa.table({"x": x, "site": site, "y": 2 * x + (site == "north") + rng.normal(size=n)})


@pytest.fixture
def table(tmp_path: Path) -> HandWritten:
    """Four files of 400 rows in three days, with mapped columns; rows of two are deleted."""
    fields = [column(name, dtype, at) for at, (name, dtype) in enumerate(COLUMNS.items(), 1)]
    stored = {one["name"]: one["metadata"]["delta.columnMapping.physicalName"] for one in fields}
    features = ["columnMapping", "deletionVectors"]
    mapped = {"delta.columnMapping.mode": "name"}
    table = HandWritten(tmp_path / "table", fields, ["day"], features, mapped)
    days = ["2026-01-01", "2026-01-02", "2026-01-02", None]
    adds = [
        table.add(
            numbers(400, seed).rename_columns([stored[name] for name in ("x", "site", "y")]),
            {stored["day"]: day},
        )
        for seed, day in enumerate(days)
    ]
    table.commit("WRITE", *adds)
    fewer = [
        table.without(adds[0], list(range(0, 400, 2)), "u", "ab"),
        table.without(adds[3], list(range(100, 350)), "i"),
    ]
    table.commit("DELETE", removed(adds[0]), removed(adds[3]), *fewer)
    return table


@pytest.fixture
def plain(table: HandWritten, tmp_path: Path) -> Path:
    """The rows of the table, as deltalake reads them, in one plain file."""
    folder = tmp_path / "plain"
    folder.mkdir()
    pq.write_table(rows_by_deltalake(table.root), folder / "rows.parquet")
    return folder


def job(lake: Path, model: Path, **more: object) -> dict[str, object]:
    return {"lake": str(lake), "label": "y", "model": str(model), **more}


def test_the_weights_are_those_of_the_rows_in_plain_files(table, plain, tmp_path):
    # Recursive ridge does not depend on the order of rows.
    report = train(job(table.root, tmp_path / "m", loss="squared", parallel=1))
    other = train(job(plain, tmp_path / "n", loss="squared", parallel=1))
    assert report.rows == other.rows == 1_150
    weights, others = (
        {
            one.feature: one.coefficient
            for one in summarise(Model.load(str(tmp_path / name))).coefficients
        }
        for name in ("m", "n")
    )
    assert weights.keys() == others.keys()
    assert weights == pytest.approx(others, rel=1e-4, abs=1e-4)


def test_scores_and_evaluations_leave_deleted_rows_out(table, plain, tmp_path):
    model = str(tmp_path / "m")
    train(job(plain, tmp_path / "m"))
    score(str(table.root), model=model, out=str(tmp_path / "out"))
    score(str(plain), model=model, out=str(tmp_path / "other"))
    found, expected = (
        sorted(ds.dataset(tmp_path / name, format="parquet").to_table()["prediction"].to_pylist())
        for name in ("out", "other")
    )
    assert len(found) == 1_150
    assert found == pytest.approx(expected, rel=1e-5)
    losses = [evaluate(str(lake), model=model).loss for lake in (table.root, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_vector_with_rows_that_its_file_lacks_is_an_error(tmp_path):
    columns = [column(name, COLUMNS[name]) for name in ("x", "site", "y")]
    table = HandWritten(tmp_path / "t", columns, features=["deletionVectors"])
    table.commit("WRITE", table.without(table.add(numbers(400, 1)), [5, 400]))
    with pytest.raises(BadPartition, match="deleted row 400 of this file, which has 400 rows"):
        train(job(table.root, tmp_path / "m"))
