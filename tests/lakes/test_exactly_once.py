"""Real tables: each row is learnt once across append, compaction, delete, update, vacuum, restore.

Recursive ridge does not depend on the order of rows, so the weights tell which rows were learnt:
they must be those of one run over the expected rows in a plain file.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from iceberg_tables import catalogue, local
from onepass import Model
from onepass.actions.summary import summarise
from onepass.errors import ChangedPartition, DataError, HistoryGone
from onepass.model.directory import open_model
from processes import run
from recording import Recorder
from small import train

KILLED = -9


def rows(first: int, n: int, **more: Any) -> pa.Table:
    """Rows with ids, a feature and a label that follow from the id."""
    ids = np.arange(first, first + n)
    rng = np.random.default_rng(first)
    x = rng.normal(size=n)
    return pa.table({"id": ids, "x": x, "y": 3 * x + ids / 100 + rng.normal(size=n), **more})


class Learnt:
    """A model over a table, and the rows that it must have learnt by now."""

    def __init__(self, lake: str, folder: Path) -> None:
        self.folder = folder
        self.job = {
            "lake": lake,
            "label": "y",
            "exclude": ["id"],
            "model": str(folder / "model"),
            "loss": "squared",
            "parallel": 1,
        }
        self.expected: list[pa.Table] = []
        self.notes: list[str] = []

    def run(self, *new: pa.Table, **fields: Any) -> list[str]:
        """Train, and expect exactly these rows; return what was said."""
        recorder = Recorder()
        report = train(self.job | fields, progress=recorder)
        self.expected += [one.select(["id", "x", "y"]) for one in new]
        assert report.rows == sum(one.num_rows for one in new)
        self.notes = [note for note in recorder.notes if "version" in note or "snapshot" in note]
        return self.notes

    def check(self) -> None:
        """Compare the weights with those of one run over the expected rows."""
        lake = self.folder / "plain"
        lake.mkdir(exist_ok=True)
        pq.write_table(pa.concat_tables(self.expected), lake / "rows.parquet")
        plain = {"lake": str(lake), "model": str(self.folder / "plain-model"), "holdout": None}
        train(self.job | plain)
        found, expected = (self._weights(name) for name in ("model", "plain-model"))
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)

    def _weights(self, name: str) -> dict[str, float]:
        found = summarise(Model.load(str(self.folder / name))).coefficients
        return {one.feature: one.coefficient for one in found}


@pytest.fixture
def delta(tmp_path: Path) -> str:
    lake = str(tmp_path / "table")
    for first in (0, 100, 200):
        write_deltalake(lake, rows(first, 100), mode="append")
    return lake


@pytest.fixture
def learnt(delta: str, tmp_path: Path) -> Learnt:
    """A model that has learnt 300 rows of three files."""
    learnt = Learnt(delta, tmp_path)
    assert learnt.run(rows(0, 100), rows(100, 100), rows(200, 100)) == []
    return learnt


def vacuum(lake: str) -> None:
    DeltaTable(lake).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)


def merge(lake: str, source: pa.Table) -> None:
    merger = DeltaTable(lake).merge(source, "t.id = s.id", source_alias="s", target_alias="t")
    merger.when_matched_update_all().when_not_matched_insert_all().execute()


def test_appends_of_delta_are_trained_once(learnt, delta):
    write_deltalake(delta, rows(300, 50), mode="append")
    learnt.run(rows(300, 50))
    assert learnt.run() == []
    learnt.check()


def test_compaction_of_trained_files_trains_nothing(learnt, delta):
    DeltaTable(delta).optimize.compact()
    assert learnt.run() == ["version 3 OPTIMIZE: 3 files rewritten, nothing to train"]
    vacuum(delta)
    learnt.run()
    write_deltalake(delta, rows(300, 50), mode="append")
    learnt.run(rows(300, 50))
    learnt.check()


def test_files_that_are_compacted_before_they_are_trained_are_read_as_they_were(learnt, delta):
    write_deltalake(delta, rows(300, 50), mode="append")
    DeltaTable(delta).optimize.compact()
    notes = learnt.run(rows(300, 50))
    assert "4 files rewritten, 1 of them not trained yet, which are read as they were" in notes[0]
    learnt.check()


def test_new_files_that_are_compacted_together_are_trained_as_one(learnt, delta):
    DeltaTable(delta).optimize.compact(target_size=1)
    learnt.run()
    size = max(Path(delta).glob("*.parquet"), key=lambda one: one.stat().st_size).stat().st_size
    write_deltalake(delta, rows(300, 30), mode="append")
    write_deltalake(delta, rows(330, 30), mode="append")
    DeltaTable(delta).optimize.compact(target_size=size)
    vacuum(delta)
    learnt.run(rows(300, 60).slice(0, 0), rows(300, 30), rows(330, 30), on_changed="skip")
    learnt.check()


def test_file_that_is_gone_before_it_was_trained_is_an_error_with_the_way_out(learnt, delta):
    write_deltalake(delta, rows(300, 50), mode="append")
    DeltaTable(delta).optimize.compact()
    vacuum(delta)
    with pytest.raises(ChangedPartition, match=r"was not trained before version 4 OPTIMIZE merged"):
        learnt.run()
    with pytest.raises(ChangedPartition, match=r"--on-changed skip.*--on-changed retrain"):
        learnt.run()
    assert "the file is gone: its rows are left out" in learnt.run(on_changed="skip")[-1]
    assert learnt.run() == []
    learnt.check()


@pytest.mark.parametrize("operation", ["DELETE", "UPDATE", "MERGE", "WRITE"])
def test_change_of_trained_rows_is_an_error_or_left_out(learnt, delta, operation):
    table = DeltaTable(delta)
    match operation:
        case "DELETE":
            table.delete("id >= 90 and id < 120")
        case "UPDATE":
            table.update({"y": "y + 1"}, predicate="id = 7")
        case "MERGE":
            merge(delta, rows(295, 10))
        case "WRITE":
            write_deltalake(
                delta, rows(100, 100), mode="overwrite", predicate="id >= 100 and id < 200"
            )
    n = 2 if operation == "DELETE" else 1
    found = f"version 3 {operation} changed {n} trained file"
    with pytest.raises(ChangedPartition, match=found):
        learnt.run()
    write_deltalake(delta, rows(400, 50), mode="append")
    notes = learnt.run(rows(400, 50), on_changed="skip")
    assert notes[0].startswith(found)
    assert learnt.run() == []
    learnt.check()


def test_changed_files_are_trained_whole_where_asked(learnt, delta):
    DeltaTable(delta).delete("id >= 90 and id < 120")
    learnt.run(rows(0, 100).slice(0, 90), rows(100, 100).slice(20), on_changed="retrain")
    assert learnt.run() == []
    learnt.check()


def test_deletion_of_whole_trained_files_is_said_and_trains_nothing(learnt, delta):
    DeltaTable(delta).delete("id < 100")
    with pytest.raises(ChangedPartition, match="version 3 DELETE changed 1 trained file"):
        learnt.run()
    [note] = learnt.run(on_changed="skip")
    assert note == "version 3 DELETE changed 1 trained file: their rows stay learnt"
    assert learnt.run() == []
    learnt.check()


def test_deletion_of_rows_that_were_never_trained_is_not_said(learnt, delta):
    write_deltalake(delta, rows(300, 50), mode="append")
    DeltaTable(delta).delete("id >= 340")
    assert learnt.run(rows(300, 50).slice(0, 40)) == []
    learnt.check()


def test_restore_adds_nothing_that_is_trained(learnt, delta):
    DeltaTable(delta).delete("id < 10")
    DeltaTable(delta).restore(2)
    assert learnt.run() == []
    DeltaTable(delta).delete("id < 10")
    learnt.run(on_changed="skip")
    DeltaTable(delta).restore(2)
    assert learnt.run() == []
    learnt.check()


def test_new_column_of_the_table_changes_nothing_for_the_model(learnt, delta):
    more = rows(300, 50, later=pa.array(np.zeros(50)))
    write_deltalake(delta, more, mode="append", schema_mode="merge")
    learnt.run(more)
    learnt.check()


def test_version_that_is_older_than_the_model_has_nothing_new(learnt, delta):
    DeltaTable(delta).optimize.compact()
    learnt.run()
    [note] = learnt.run(lake_version=1)
    assert note == "version 1 of the table is older than what the model has seen: nothing is new"


def test_run_goes_on_from_the_version_that_was_asked_for(delta, tmp_path):
    learnt = Learnt(delta, tmp_path)
    learnt.run(rows(0, 100), lake_version=0)
    learnt.run(rows(100, 100), lake_version=1)
    learnt.run(rows(200, 100))
    learnt.check()


def test_another_table_at_the_same_place_is_refused(learnt, delta):
    shutil.rmtree(delta)
    write_deltalake(delta, rows(0, 100))
    with pytest.raises(DataError, match="the lake holds another table than the one"):
        learnt.run()
    shutil.rmtree(Path(delta) / "_delta_log")
    with pytest.raises(DataError, match="was a delta table when the model learnt it"):
        learnt.run()


def test_history_that_is_gone_is_an_error_with_the_way_out(learnt, delta):
    write_deltalake(delta, rows(300, 50), mode="append")
    write_deltalake(delta, rows(350, 50), mode="append")
    DeltaTable(delta).create_checkpoint()
    for version in range(4):
        (Path(delta) / f"_delta_log/{version:020}.json").unlink()
    with pytest.raises(HistoryGone, match=r"2 files that the model does not know"):
        learnt.run()
    learnt.run(on_changed="skip")
    write_deltalake(delta, rows(400, 50), mode="append")
    learnt.run(rows(400, 50))
    learnt.check()


def test_history_that_is_gone_can_be_trained_by_names(learnt, delta):
    write_deltalake(delta, rows(300, 50), mode="append")
    write_deltalake(delta, rows(350, 50), mode="append")
    DeltaTable(delta).create_checkpoint()
    for version in range(4):
        (Path(delta) / f"_delta_log/{version:020}.json").unlink()
    learnt.run(rows(300, 50), rows(350, 50), on_changed="retrain")
    learnt.check()


def test_rewound_rows_are_learnt_again_from_what_the_table_has_now(learnt, delta):
    from onepass import rewind

    write_deltalake(delta, rows(300, 50), mode="append")
    learnt.run(rows(300, 50))
    DeltaTable(delta).optimize.compact()
    learnt.run()
    rewind(learnt.job["model"], to=4)
    learnt.expected.pop()
    learnt.run(rows(300, 50))
    learnt.check()


# -- killed --------------------------------------------------------------------------------------


def changes(lake: str) -> None:
    """One of each operation, after a first run."""
    write_deltalake(lake, rows(300, 200), mode="append")
    DeltaTable(lake).optimize.compact()
    write_deltalake(lake, rows(500, 200), mode="append")
    DeltaTable(lake).delete("id >= 690")
    merge(lake, rows(95, 10))
    write_deltalake(lake, rows(700, 200), mode="append")


def test_killed_at_any_step_of_any_commit_a_table_is_learnt_once(delta, tmp_path):
    fields = {"label": "y", "exclude": ["id"], "solver": "sgd", "on_changed": "skip"}
    job = {"lake": delta, "model": str(tmp_path / "first"), **fields}
    train(job)
    changes(delta)
    models = [str(tmp_path / f"killed-{call}") for call in range(2, 40, 7)]
    for model in [*models, str(tmp_path / "whole")]:
        shutil.copytree(job["model"], model)
    expected = train(job | {"model": str(tmp_path / "whole")})
    assert expected.rows == 590
    tasks = [
        {
            "do": "train_or_die",
            "job": job | {"model": model},
            "block_rows": 128,
            "die_at": "commit",
            "call": call,
        }
        for call, model in zip(range(2, 40, 7), models, strict=True)
    ]
    codes = [outcome.code for outcome in run(*tasks, together=True)]
    assert KILLED in codes
    for model in models:
        report = train(job | {"model": model})
        assert report.state_sha256 == expected.state_sha256
    assert open_model(models[0]).ledger.history.table_marks()


# -- Iceberg -------------------------------------------------------------------------------------


@pytest.fixture
def iceberg(tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """A table of two snapshots, which pyiceberg writes."""
    (tmp_path / "ice").mkdir()
    with catalogue(tmp_path / "ice") as found:
        table = found.create_table("db.t", schema=rows(0, 1).schema)
        table.append(rows(0, 100))
        table.append(rows(100, 100))
        yield lambda: found.load_table("db.t")


@pytest.fixture
def of_iceberg(iceberg, tmp_path) -> Learnt:
    learnt = Learnt(str(local(iceberg().location())), tmp_path)
    assert learnt.run(rows(0, 100), rows(100, 100)) == []
    return learnt


def test_appends_of_iceberg_are_trained_once(of_iceberg, iceberg):
    iceberg().append(rows(200, 50))
    of_iceberg.run(rows(200, 50))
    for old, new in (("id", "number"), ("number", "id")):
        with iceberg().update_schema() as schema:
            schema.rename_column(old, new)
    assert of_iceberg.run() == []
    of_iceberg.check()


@pytest.mark.parametrize("operation", ["delete", "overwrite", "upsert"])
def test_change_of_trained_rows_of_iceberg_is_an_error_or_left_out(of_iceberg, iceberg, operation):
    match operation:
        case "delete":
            iceberg().delete("id >= 90 and id < 95")
        case "overwrite":
            iceberg().overwrite(rows(90, 5), overwrite_filter="id >= 90 and id < 95")
        case "upsert":
            iceberg().upsert(rows(195, 10), join_cols=["id"])
    with pytest.raises(ChangedPartition, match=r"snapshot \d+ .* changed 1 trained file"):
        of_iceberg.run()
    iceberg().append(rows(400, 50))
    # pyiceberg overwrites by a snapshot that deletes and one that appends, which is an addition.
    added = {"delete": 0, "overwrite": 5, "upsert": 10}[operation]
    report = train(of_iceberg.job | {"on_changed": "skip"})
    assert report.rows == 50 + added
    assert of_iceberg.run() == []


# -- what other commands say ---------------------------------------------------------------------


def test_log_shows_the_version_and_verify_knows_what_the_table_has_replaced(learnt, delta, onepass):
    DeltaTable(delta).optimize.compact()
    learnt.run()
    _, printed, _ = onepass("log", learnt.job["model"])
    assert "delta version 2" in printed
    assert "delta version 3, 1 rewritten" in printed
    code, printed, _ = onepass("verify", learnt.job["model"])
    assert (code, "not learnt yet" in printed) == (0, False)
    vacuum(delta)
    code, printed, _ = onepass("verify", learnt.job["model"])
    assert code == 0
    assert "3 learnt files replaced by the table, and no longer stored" in printed


def test_refining_reads_the_files_that_were_learnt_while_they_are_stored(learnt, delta):
    from onepass import refine

    DeltaTable(delta).optimize.compact()
    learnt.run()
    assert refine({"model": learnt.job["model"]}).rows == 300
    vacuum(delta)
    with pytest.raises(DataError, match=r"learnt, but no longer in the lake\n.*new model"):
        refine({"model": learnt.job["model"]})


def test_rolling_holdout_takes_the_files_that_were_added_last(delta, tmp_path):
    learnt = Learnt(delta, tmp_path)
    learnt.job["holdout"] = "last: 1"
    learnt.run(rows(0, 100), rows(100, 100))
    assert learnt.run() == []
    write_deltalake(delta, rows(300, 50), mode="append")
    learnt.run(rows(200, 100))
    # The held-out file is merged with trained ones, and is still the last one.
    DeltaTable(delta).optimize.compact()
    learnt.run()
    write_deltalake(delta, rows(400, 50), mode="append")
    learnt.run(rows(300, 50))
    learnt.check()


def test_model_of_bare_files_goes_on_from_what_its_log_knows(delta, tmp_path):
    learnt = Learnt(delta, tmp_path)
    learnt.run(rows(0, 100), rows(100, 100), rows(200, 100))
    model = Path(learnt.job["model"])
    forget_marks(model)
    assert not open_model(str(model)).ledger.history.table_marks()
    DeltaTable(delta).optimize.compact()
    write_deltalake(delta, rows(300, 50), mode="append")
    notes = learnt.run(rows(300, 50))
    assert notes == ["version 3 OPTIMIZE: 3 files rewritten, nothing to train"]
    learnt.check()


def forget_marks(model: Path) -> None:
    """Write the log as a model of plain files has it."""
    from onepass.ledger.entries import digest, dump_entry

    log = sorted((model / "log").iterdir())
    entries = [entry for entry in open_model(str(model)).ledger.entries]
    parent = entries[0].parent_sha256
    for path, entry in zip(log, entries, strict=True):
        changes: dict[str, Any] = {"parent_sha256": parent}
        if entry.action == "plan":
            changes["table"] = None
        data = dump_entry(entry.model_copy(update=changes))
        path.chmod(0o644)
        path.write_bytes(data)
        parent = digest(data)
