"""What is told where a table cannot be trained as its commits suggest."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable, write_deltalake

from lakes import number_table
from onepass.errors import DataError
from recording import Recorder
from small import train


@pytest.fixture
def fields(tmp_path):
    write_deltalake(tmp_path / "t", number_table(60, seed=1))
    return {"lake": str(tmp_path / "t"), "label": "y", "model": str(tmp_path / "m")}


def without_labels(table):
    return table.set_column(4, "y", [[None, *table["y"].to_pylist()[1:]]])


def test_file_in_quarantine_that_is_compacted_is_told(fields):
    train(fields)
    write_deltalake(fields["lake"], without_labels(number_table(30, seed=2)), mode="append")
    assert train({**fields, "on_bad": "quarantine"}).partitions == 0
    DeltaTable(fields["lake"]).optimize.compact()
    recorder = Recorder()
    assert train({**fields, "on_bad": "quarantine"}, progress=recorder).partitions == 0
    said = [note for note in recorder.notes if "in quarantine" in note]
    assert len(said) == 1
    assert said[0].startswith("version 2 OPTIMIZE replaced 1 file in quarantine, whose rows stay")


@pytest.mark.parametrize("on_bad", ["error", "skip", "quarantine"])
def test_table_that_has_lost_a_column_is_refused_as_a_whole(fields, on_bad):
    train(fields)
    table = number_table(30, seed=2).rename_columns(["a", "b", "speed", "level", "y"])
    write_deltalake(fields["lake"], table, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(DataError, match=r"version 1 of the table has no column c, which"):
        train({**fields, "on_bad": on_bad, "on_changed": "retrain"})
