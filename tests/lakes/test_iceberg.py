"""An Iceberg table is learnt once through everything that is done to it."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from iceberg_tables import (
    catalogue,
    compact,
    data_uris,
    equality_deletes,
    local,
    move_to,
    position_deletes,
)
from onepass.errors import ChangedPartition, DataError, HistoryGone
from small import train


def numbers(seed, n=400):
    rng = np.random.default_rng(seed)
    x, site = rng.normal(size=n), rng.choice(["north", "south"], n)
    y = 2 * x + (site == "north") + rng.normal(size=n)
    return pa.table({"x": x, "site": site, "y": y})


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of three files, which the catalogue `local` has as `db.t`."""
    monkeypatch.setenv("PYICEBERG_CATALOG__LOCAL__URI", f"sqlite:///{tmp_path}/catalogue.db")
    with catalogue(tmp_path) as tables:
        found = tables.create_table("db.t", schema=numbers(0).schema)
        for seed in range(3):
            found.append(numbers(seed))
        yield found


@pytest.fixture
def learn(table, tmp_path):
    """Train a model on the table; returns the rows that were learnt."""

    def run(**fields):
        job = {"lake": "iceberg://local/db.t", "label": "y", "model": str(tmp_path / "model")}
        return train(job | fields).rows

    return run


def test_only_appended_rows_are_learnt(table, learn):
    assert learn() == 1200
    table.append(numbers(3))
    assert learn() == 400
    assert learn() == 0


def test_a_compaction_teaches_nothing_and_hides_no_appended_rows(table, learn):
    assert learn() == 1200
    compact(table)
    assert learn() == 0
    table.append(numbers(3))
    compact(table)
    assert learn() == 400
    assert learn() == 0


def test_changes_of_trained_rows_are_errors_that_may_be_skipped(table, learn):
    assert learn() == 1200
    table.delete("x > 1")
    table.append(numbers(3))
    with pytest.raises(ChangedPartition, match=r"snapshot \d+ overwrite changed 3 trained files"):
        learn()
    assert learn(on_changed="skip") == 400
    position_deletes(table, {data_uris(table)[0]: [1]})
    with pytest.raises(ChangedPartition, match="delete changed 1 trained file"):
        learn()
    assert learn(on_changed="skip") == 0
    assert learn() == 0


def test_a_roll_back_and_new_rows_after_it(table, learn):
    table.refresh()
    common = table.current_snapshot().snapshot_id
    table.append(numbers(3))
    assert learn() == 1600
    move_to(table, common)
    assert learn() == 0
    table.append(numbers(4))
    with pytest.raises(ChangedPartition, match="roll-back from snapshot"):
        learn()
    assert learn(on_changed="skip") == 400


def test_expired_history_ends_with_advice(table, learn, tmp_path):
    assert learn() == 1200
    for seed in (3, 4):
        table.append(numbers(seed))
    metadata = json.loads(local(table.metadata_location).read_text())
    metadata["snapshots"] = metadata["snapshots"][-1:]
    metadata["snapshot-log"] = metadata["snapshot-log"][-1:]
    local(table.metadata_location).write_text(json.dumps(metadata))
    with pytest.raises(HistoryGone, match="its snapshots have expired"):
        learn()


def test_equality_deletes_end_a_run_until_the_table_is_compacted(table, learn):
    path = equality_deletes(table, [3])
    with pytest.raises(DataError, match=path):
        learn()
    table.refresh()
    table.overwrite(numbers(7))
    assert learn() == 400
