"""An Iceberg table is learnt, scored and evaluated row for row as its rows in plain files."""

from __future__ import annotations

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyiceberg.table import StaticTable

from iceberg_tables import catalogue, data_uris, deletion_vector, local, position_deletes
from lakes import number_table
from onepass import Model, evaluate, score
from onepass.actions.summary import summarise
from small import train


@pytest.fixture
def lakes(tmp_path):
    """A table with deleted rows and a renamed column, and the folder of its rows in one file."""
    with catalogue(tmp_path) as tables:
        table = tables.create_table("db.t", schema=number_table(1, 0).schema)
        for seed in range(4):
            table.append(number_table(400, seed))
        with table.update_schema() as update:
            update.rename_column("level", "side")
        table.append(number_table(400, 4).rename_columns(["a", "b", "c", "side", "y"]))
        uris = data_uris(table)
        position_deletes(table, {uris[0]: list(range(0, 400, 2)), uris[1]: [5]})
        deletion_vector(table, uris[2], list(range(100, 149)))
        plain = tmp_path / "plain"
        plain.mkdir()
        rows = StaticTable.from_metadata(table.metadata_location).scan().to_arrow()
        pq.write_table(rows, plain / "rows.parquet")
        yield str(local(table.location())), str(plain)


def job(lake, model, **more):
    return {"lake": lake, "label": "y", "model": str(model), **more}


def test_the_weights_are_those_of_the_rows_in_plain_files(lakes, tmp_path):
    # Recursive ridge does not depend on the order of rows.
    reports = [train(job(lake, tmp_path / str(i), loss="squared")) for i, lake in enumerate(lakes)]
    assert [one.rows for one in reports] == [1750, 1750]
    weights, others = (
        {
            one.feature: one.coefficient
            for one in summarise(Model.load(str(tmp_path / at))).coefficients
        }
        for at in ("0", "1")
    )
    assert weights.keys() == others.keys()
    assert weights == pytest.approx(others, rel=1e-4, abs=1e-4)


def test_scores_and_evaluations_leave_deleted_rows_out(lakes, tmp_path):
    model = str(tmp_path / "m")
    train(job(lakes[1], model))
    found = []
    for name, lake in zip(("a", "b"), lakes, strict=True):
        score(lake, model=model, out=str(tmp_path / name))
        rows = ds.dataset(tmp_path / name, format="parquet").to_table()
        found.append(sorted(rows["prediction"].to_pylist()))
    assert len(found[0]) == 1750
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    losses = [evaluate(lake, model=model).loss for lake in lakes]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
