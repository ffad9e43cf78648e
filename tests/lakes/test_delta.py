"""Tables that deltalake has written are read row for row as deltalake reads them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType

from delta_tables import rows_by_deltalake
from onepass.lake.tables.delta import DeltaTable as Table
from onepass.lake.tables.delta import open_table
from onepass.lake.tables.table import Commit, TableChoice
from table_rows import counted_rows, rows_of

WORDS = ["plain", "a b", "50%", "x=1", "é", "a/b", "%41", "nothing", "Ω:?#", None]


def opened(root: Path, version: int | None = None) -> Table:
    return open_table(str(root), TableChoice(version=version))


def check_versions(root: Path) -> list[Commit]:
    """Compare every version with deltalake's rows, and fold the commits to the newest files."""
    newest = opened(root)
    for version in range(newest.version + 1):
        at = opened(root, version)
        assert at.version == version
        assert rows_of(at.files()) == counted_rows(rows_by_deltalake(root, version)), version
    commits = newest.commits_since(None)
    assert [one.version for one in commits] == list(range(newest.version + 1))
    files: dict[tuple[str, str | None], int | None] = {}
    for commit in commits:
        for one in commit.removed:
            del files[one.identity]
        files.update((one.identity, one.rows) for one in commit.added)
    found = {
        (one.key, one.view.deleted.identity if one.view.deleted else None) for one in newest.files()
    }
    assert files.keys() == found
    return commits


def numbers(first: int, n: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "id": pa.array(range(first, first + n), pa.int64()),
            "x": pa.array(rng.normal(size=n)),
            "site": pa.array([["north", "south", None][at % 3] for at in range(first, first + n)]),
        }
    )


def test_every_version_of_a_table_that_is_changed_in_every_way_has_the_rows_of_deltalake(tmp_path):
    root = tmp_path / "t"
    write_deltalake(root, numbers(0, 40), partition_by=["site"])
    write_deltalake(root, numbers(40, 30, 1), mode="append")
    table = DeltaTable(root)
    table.delete("id % 5 = 0")
    table.update(updates={"x": "x + 1"}, predicate="id < 20")
    table.merge(
        numbers(60, 30, 2), "target.id = source.id", source_alias="source", target_alias="target"
    ).when_matched_update_all().when_not_matched_insert_all().execute()
    write_deltalake(root, numbers(200, 9, 3), mode="append")
    table = DeltaTable(root)
    table.optimize.compact()
    write_deltalake(root, numbers(300, 9, 4), mode="append")
    table = DeltaTable(root)
    table.optimize.z_order(["x"])
    table.restore(3)
    table.alter.add_columns([Field("extra", PrimitiveType("double"), nullable=True)])
    write_deltalake(root, numbers(400, 5, 5), mode="append", schema_mode="merge")
    write_deltalake(root, numbers(500, 5, 6), mode="overwrite", schema_mode="overwrite")
    table = DeltaTable(root)
    table.create_checkpoint()
    write_deltalake(root, numbers(600, 5, 7), mode="append")
    commits = check_versions(root)
    rewrites = [one.operation for one in commits if one.is_rewrite and one.added]
    assert rewrites == ["OPTIMIZE", "OPTIMIZE"]
    told = [one.operation for one in commits]
    assert told[:6] == ["WRITE", "WRITE", "DELETE", "UPDATE", "MERGE", "WRITE"]
    assert told[8:11] == ["OPTIMIZE", "RESTORE", "ADD COLUMN"]
    assert sum(one.rows for one in commits[0].added) == 40


def test_partition_values_of_every_type_are_those_of_deltalake(tmp_path):
    n = len(WORDS)
    rows = pa.table(
        {
            "x": pa.array(range(n)),
            "word": pa.array(WORDS),
            "small": pa.array([*range(-5, n - 6), None], pa.int8()),
            "big": pa.array([*[-(2**63) + at for at in range(n - 1)], None], pa.int64()),
            "flag": pa.array([True, False, None] * 3 + [True]),
            "day": pa.array([date(1969, 12, 31), None] * 5),
            "time": pa.array([datetime(2026, 1, 2, 3, 4, 5, 678, UTC), None] * 5),
            "naive": pa.array([datetime(2026, 1, 2, 3, 4, 5), None] * 5),
            "money": pa.array([Decimal("1.50"), Decimal("-3.00")] * 5, pa.decimal128(9, 2)),
            "real": pa.array([0.1, -1e30, None, 1e-7, 2.0] * 2),
        }
    )
    for name in rows.column_names[1:]:
        root = tmp_path / name
        write_deltalake(root, rows, partition_by=[name])
        check_versions(root)
    write_deltalake(tmp_path / "all", rows, partition_by=rows.column_names[1:])
    check_versions(tmp_path / "all")


def test_renamed_and_dropped_columns_are_those_of_deltalake(tmp_path):
    root = tmp_path / "t"
    mapped = {"delta.columnMapping.mode": "name"}
    write_deltalake(root, numbers(0, 20), partition_by=["site"], configuration=mapped)
    write_deltalake(root, numbers(20, 20), mode="append")
    check_versions(root)
    names = {one.name for one in opened(root).files()[0].view.fields}
    assert names == {"id", "x", "site"}


def test_structs_lists_and_maps_are_those_of_deltalake(tmp_path):
    rows = pa.table(
        {
            "id": pa.array([1, 2, 3]),
            "place": pa.array(
                [{"city": "Bern", "at": {"x": 1.0}}, None, {"city": None, "at": None}]
            ),
            "tags": pa.array([["a"], [], None]),
            "counts": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        }
    )
    write_deltalake(tmp_path / "plain", rows)
    mapped = {"delta.columnMapping.mode": "name"}
    write_deltalake(tmp_path / "mapped", rows, configuration=mapped)
    for name in ("plain", "mapped"):
        check_versions(tmp_path / name)


def test_files_that_vacuum_has_deleted_are_not_found_again(tmp_path):
    root = tmp_path / "t"
    write_deltalake(root, numbers(0, 10))
    (before,) = opened(root).files()
    write_deltalake(root, numbers(10, 10), mode="append")
    DeltaTable(root).optimize.compact()
    old = opened(root).file(before.key, None)
    assert old == before
    DeltaTable(root).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert opened(root).file(before.key, None) is None
    assert rows_of(opened(root).files()) == counted_rows(rows_by_deltalake(root))


@pytest.mark.parametrize("n_appends", [0, 1, 12])
def test_a_timestamp_is_the_version_that_deltalake_finds(tmp_path, n_appends):
    root = tmp_path / "t"
    write_deltalake(root, numbers(0, 3))
    for at in range(n_appends):
        write_deltalake(root, numbers(at, 3), mode="append")
    for one in DeltaTable(root).history():
        at = datetime.fromtimestamp(one["timestamp"] / 1000, UTC).isoformat()
        found = open_table(str(root), TableChoice(timestamp=at))
        # Commits within one millisecond have the same time.
        times = {o["version"]: o["timestamp"] for o in DeltaTable(root).history()}
        assert found.version == max(v for v, time in times.items() if time <= one["timestamp"])
