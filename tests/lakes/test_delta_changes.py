"""A Delta table is learnt once through everything that is done to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from delta_tables import HandWritten, column, removed
from onepass.errors import ChangedPartition, DataError, HistoryGone
from onepass.lake.tables.delta import open_table
from onepass.lake.tables.table import TableChoice
from places import trained_paths
from small import plan, train, train_pending


def numbers(seed: int, n: int = 400) -> pa.Table:
    rng = np.random.default_rng(seed)
    x, site = rng.normal(size=n), rng.choice(["north", "south"], n)
    y = 2 * x + (site == "north") + rng.normal(size=n)
    return pa.table({"x": x, "site": site, "y": y})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A table of three files of 400 rows."""
    for seed in range(3):
        write_deltalake(tmp_path / "t", numbers(seed), mode="append")
    return tmp_path / "t"


Learn = Callable[..., int]


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    return {"lake": str(tmp_path / "t"), "label": "y", "model": str(tmp_path / "model")}


@pytest.fixture
def learn(job: dict[str, Any]) -> Learn:
    """Train a model on the table; returns the rows that were learnt."""

    def run(**fields: Any) -> int:
        return train(job | fields).rows

    return run


def append(root: Path, seed: int, n: int = 400) -> None:
    write_deltalake(root, numbers(seed, n), mode="append")


def vacuum(root: Path) -> None:
    table = DeltaTable(root)
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


def test_only_appended_rows_are_learnt(root, learn):
    assert learn() == 1200
    append(root, 3)
    append(root, 4, 100)
    assert learn() == 500
    assert learn() == 0


@pytest.mark.parametrize("operation", ["compact", "z_order"])
def test_a_compaction_teaches_nothing_and_hides_no_appended_rows(root, learn, operation):
    def compact() -> None:
        optimize = DeltaTable(root).optimize
        _ = optimize.compact() if operation == "compact" else optimize.z_order(["x"])

    assert learn() == 1200
    compact()
    assert learn() == 0
    append(root, 3)
    compact()
    assert learn() == 400
    append(root, 4)
    append(root, 5)
    compact()
    vacuum(root)
    # Rows of before are in the same file as rows that are new, and the files with these are gone.
    with pytest.raises((ChangedPartition, HistoryGone)):
        learn()


def test_a_vacuum_after_everything_is_learnt_changes_nothing(root, learn):
    assert learn() == 1200
    DeltaTable(root).optimize.compact()
    vacuum(root)
    assert learn() == 0
    append(root, 3)
    assert learn() == 400


@pytest.mark.parametrize("operation", ["delete", "update", "merge"])
def test_changes_of_trained_rows_are_errors_that_may_be_skipped(root, learn, operation):
    assert learn() == 1200
    table = DeltaTable(root)
    if operation == "delete":
        table.delete("x > 1")
    elif operation == "update":
        table.update(updates={"y": "0"}, predicate="x > 1")
    else:
        source = pa.table({"x": [9.0], "site": ["south"], "y": [18.0]})
        merge = table.merge(source, "t.x < s.x", source_alias="s", target_alias="t")
        merge.when_matched_update_all().execute()
    append(root, 3)
    with pytest.raises(ChangedPartition, match=rf"version 3 {operation.upper()} changed 3 trained"):
        learn()
    assert learn(on_changed="skip") == 400
    assert learn() == 0


def test_an_overwrite_is_learnt_if_the_user_says_so(root, learn):
    assert learn() == 1200
    write_deltalake(root, numbers(7, 300), mode="overwrite")
    with pytest.raises(ChangedPartition, match="version 3 WRITE changed 3 trained files"):
        learn()
    assert learn(on_changed="retrain") == 300
    assert learn() == 0


def test_a_restore_adds_nothing_that_was_learnt(root, learn):
    assert learn() == 1200
    append(root, 3)
    assert learn() == 400
    DeltaTable(root).restore(2)
    with pytest.raises(ChangedPartition, match="RESTORE"):
        learn()
    assert learn(on_changed="skip") == 0
    append(root, 4)
    assert learn() == 400


def test_new_columns_do_not_teach_old_rows_again(root, learn):
    assert learn() == 1200
    more = numbers(3).append_column("late", pa.array([True] * 400))
    write_deltalake(root, more, mode="append", schema_mode="merge")
    assert learn() == 400


def test_a_deletion_vector_is_a_change_of_its_file_alone(tmp_path, learn):
    names = {"x": pa.float64(), "site": pa.string(), "y": pa.float64()}
    columns = [column(name, dtype) for name, dtype in names.items()]
    table = HandWritten(tmp_path / "t", columns, features=["deletionVectors"])
    adds = [table.add(numbers(seed)) for seed in range(3)]
    table.commit("WRITE", *adds)
    first = table.without(adds[0], list(range(100)))
    table.commit("DELETE", removed(adds[0]), first)
    assert learn() == 1100
    table.commit("DELETE", removed(adds[1]), table.without(adds[1], [0, 1], "i"))
    with pytest.raises(ChangedPartition, match="version 2 DELETE changed 1 trained file"):
        learn()
    assert learn(on_changed="skip") == 0
    same = {"dataChange": False}
    whole = table.add(numbers(0).slice(100), **same)
    table.commit("REORG", removed(first, **same), whole)
    table.commit("WRITE", table.add(numbers(9, 50)))
    assert learn() == 50


def test_a_plan_that_was_cut_off_goes_on_with_files_that_were_compacted(root, learn, job):
    plan(job)
    before = train_pending(job, max_seconds=0).rows
    assert before < 1200
    original = {one.key for one in open_table(str(root), TableChoice()).files()}
    DeltaTable(root).optimize.compact()
    append(root, 3)
    assert before + learn() + learn() == 1600
    assert learn() == 0
    trained = trained_paths(job["model"])
    assert len(trained) == len(set(trained)) == 4
    assert original < set(trained)


def test_a_run_that_comes_after_the_log_was_cleaned_up_ends_with_advice(root, learn):
    assert learn() == 1200
    for seed in (3, 4):
        append(root, seed)
    DeltaTable(root).create_checkpoint()
    for version in range(4):
        (root / "_delta_log" / f"{version:020}.json").unlink()
    with pytest.raises(HistoryGone, match=r"since version 2: commit 3 .*commits 4 to 4"):
        learn()


def test_another_table_at_the_same_place_is_noticed(root, learn):
    assert learn() == 1200
    path = root / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for one in lines:
        if "metaData" in one:
            one["metaData"]["id"] = "another"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    with pytest.raises(DataError, match="holds another table than"):
        learn()
