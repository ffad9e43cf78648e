"""Several labels of an Iceberg table: each model is that of a run of its own, to the last byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import small
from iceberg_tables import catalogue, compact, data_uris, position_deletes
from onepass.errors import ChangedPartition
from several import LABELS, history, rows, train, train_copy


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of three files, which the catalogue `local` has as `db.t`."""
    monkeypatch.setenv("PYICEBERG_CATALOG__LOCAL__URI", f"sqlite:///{tmp_path}/catalogue.db")
    with catalogue(tmp_path) as tables:
        found = tables.create_table("db.t", schema=rows(1, 0).schema)
        for seed in range(3):
            found.append(rows(400, seed))
        yield found


def test_appended_compacted_and_deleted_rows_reach_each_model_as_they_reach_it_alone(
    table, tmp_path
):
    given: dict[str, Any] = {"label": LABELS, "model": str(tmp_path / "models"), "parallel": 1}
    models, copies = Path(given["model"]), tmp_path / "copies"

    def check(n_rows: int, **fields: Any) -> None:
        """Train all models and each of the copies; all end in the same log, and learn rows once."""
        assert train({"model": given["model"], **fields}) == {}
        for label in LABELS:
            small.train({"model": str(copies / label), **fields})
            entries = history(models / label)
            assert entries == history(copies / label)
            assert sum(one.get("rows", 0) for one in entries) == n_rows

    assert train(given | {"lake": "iceberg://local/db.t"}) == {}
    for label in LABELS:
        train_copy(models / label, copies / label)
    check(1200)
    table.append(rows(500, 3))
    compact(table)
    table.append(rows(300, 4))
    check(2000)
    position_deletes(table, {data_uris(table)[0]: [1]})
    errors = train({"model": given["model"]})
    assert [type(error) for error in errors.values()] == [ChangedPartition] * 3
    check(2000, on_changed="skip")


def test_rows_that_were_deleted_before_are_read_by_no_model(table, tmp_path):
    position_deletes(table, {uri: [*range(0, 400, 3)] for uri in data_uris(table)})
    table.refresh()
    given = {"label": LABELS, "model": str(tmp_path / "models"), "lake": "iceberg://local/db.t"}
    assert train(given) == {}
    for label in LABELS:
        train_copy(Path(given["model"]) / label, tmp_path / "copies" / label)
        entries = history(Path(given["model"]) / label)
        assert entries == history(tmp_path / "copies" / label)
        assert sum(one.get("rows", 0) for one in entries) == 3 * 266
