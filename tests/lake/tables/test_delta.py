"""A Delta table gives the files, columns and commits of its log, in every form of the log."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from delta_tables import HandWritten, column, removed, rows_by_deltalake
from onepass.errors import DataError, HistoryGone, JobError
from onepass.lake.tables.delta import DeltaTable, open_table
from onepass.lake.tables.table import FileOfTable, TableChoice
from table_rows import counted_rows, rows_of

X = column("x", pa.int64())


def opened(root: Path, version: int | None = None, timestamp: str | None = None) -> DeltaTable:
    return open_table(str(root), TableChoice(version=version, timestamp=timestamp))


def with_appends(root: Path, n: int) -> tuple[HandWritten, list[dict]]:
    """Write a table of n versions, each of which adds a file of three rows."""
    table = HandWritten(root, [X])
    adds = []
    for at in range(n):
        adds.append(table.add(pa.table({"x": [at, at + 100, at + 200]})))
        table.commit("WRITE", adds[-1])
    return table, adds


def commits(root: Path, *versions: int) -> None:
    for version in versions:
        (root / "_delta_log" / f"{version:020}.json").unlink()


def check_rows(root: Path) -> None:
    assert rows_of(opened(root).files()) == counted_rows(rows_by_deltalake(root))


@pytest.mark.parametrize(
    "form", [{}, {"parts": 3}, {"sidecars": "parquet"}, {"sidecars": "json"}], ids=str
)
def test_a_checkpoint_of_every_form_replaces_the_commits_before_it(tmp_path, form):
    root = tmp_path / "t"
    table, adds = with_appends(root, 4)
    if "sidecars" in form:
        table.features = ["v2Checkpoint"]
        table.commit("UPGRADE PROTOCOL", table.protocol)
    table.checkpoint(adds, **form)
    before = opened(root).files()
    commits(root, *range(table.version + 1))
    assert opened(root).files() == before
    adds.append(table.add(pa.table({"x": [7]})))
    table.commit("WRITE", adds[-1], removed(adds[0]))
    check_rows(root)
    assert len(opened(root).files()) == 4


def test_a_checkpoint_with_missing_parts_does_not_count(tmp_path):
    root = tmp_path / "t"
    table, adds = with_appends(root, 3)
    table.checkpoint(adds, parts=3)
    next((root / "_delta_log").glob("*.0000000002.0000000003.parquet")).unlink()
    check_rows(root)
    commits(root, 0, 1, 2)
    with pytest.raises(DataError, match="holds no commit and no checkpoint"):
        opened(root)


def test_deletion_vectors_and_mapped_columns_come_through_a_checkpoint(tmp_path):
    root = tmp_path / "t"
    columns = [column("x", pa.int64(), 1), column("day", pa.date32(), 2)]
    stored = [one["metadata"]["delta.columnMapping.physicalName"] for one in columns]
    table = HandWritten(
        root,
        columns,
        ["day"],
        ["columnMapping", "deletionVectors"],
        {"delta.columnMapping.mode": "name"},
    )
    adds = [
        table.add(pa.table({stored[0]: range(at, 5)}), {stored[1]: f"2026-01-0{at + 1}"}, "ab")
        for at in range(2)
    ]
    table.commit("WRITE", *adds)
    adds[0] = table.without(adds[0], [1, 2], "u", "x2")
    table.commit("DELETE", removed({"add": {**adds[0]["add"], "deletionVector": None}}), adds[0])
    before = opened(root).files()
    check_rows(root)
    table.checkpoint(adds)
    commits(root, 0, 1)
    assert opened(root).files() == before
    check_rows(root)
    assert {one.view.constants["day"] for one in before} == {date(2026, 1, 1), date(2026, 1, 2)}


def test_columns_are_found_by_their_id_in_renamed_and_nested_columns(tmp_path):
    inner = {"type": "struct", "fields": [column("city", pa.string(), 3, "c3")]}
    columns = [column("renamed", pa.int64(), 1, "c1"), column("place", inner, 2, "c2")]
    mapped = {"delta.columnMapping.mode": "id"}
    table = HandWritten(tmp_path / "t", columns, [], ["columnMapping"], mapped)

    def numbered(name: str, dtype: pa.DataType, number: int) -> pa.Field:
        return pa.field(name, dtype, metadata={"PARQUET:field_id": str(number)})

    place = pa.struct([numbered("other", pa.string(), 3)])
    schema = pa.schema([numbered("whatever", place, 2), numbered("c9", pa.int64(), 1)])
    rows = pa.Table.from_pylist(
        [{"whatever": {"other": "Bern"}, "c9": 1}, {"whatever": None, "c9": 2}], schema
    )
    table.commit("WRITE", table.add(rows))
    expected = pa.table({"renamed": [1, 2], "place.city": ["Bern", None]})
    assert rows_of(opened(tmp_path / "t").files()) == counted_rows(expected)


def test_renamed_columns_that_older_files_lack_are_null_there(tmp_path):
    root = tmp_path / "t"
    columns = [column("x", pa.int64(), 1), column("dropped", pa.string(), 2)]
    mapped = {"delta.columnMapping.mode": "name"}
    table = HandWritten(root, columns, [], ["columnMapping"], mapped)
    stored = [one["metadata"]["delta.columnMapping.physicalName"] for one in columns]
    table.commit("WRITE", table.add(pa.table({stored[0]: [1, 2], stored[1]: ["a", "b"]})))
    table.columns = [
        column("renamed", pa.int64(), 1, stored[0]),
        column("dropped", pa.float64(), 3, "col-of-another-uuid"),
    ]
    table.commit("RENAME COLUMN", table.metadata)
    again = "col-of-another-uuid"
    table.commit("WRITE", table.add(pa.table({stored[0]: [3], again: [0.5]})))
    expected = pa.table({"renamed": [1, 2, 3], "dropped": [None, None, 0.5]})
    assert rows_of(opened(root).files()) == counted_rows(expected)
    check_rows(root)


def test_widened_types_are_read_in_files_of_before_and_after(tmp_path):
    before = {"a": pa.int8(), "b": pa.int32(), "c": pa.float32(), "d": pa.int32(), "e": pa.date32()}
    after = {
        "a": pa.int64(),
        "b": pa.float64(),
        "c": pa.float64(),
        "d": "decimal(12,2)",
        "e": pa.timestamp("us"),
    }
    table = HandWritten(
        tmp_path / "t",
        [column(name, dtype) for name, dtype in before.items()],
        [],
        ["typeWidening", "timestampNtz"],
    )
    old = pa.table([[1], [2], [0.5], [3], [date(2026, 1, 2)]], pa.schema(before))
    table.commit("WRITE", table.add(old))
    table.columns = [column(name, dtype) for name, dtype in after.items()]
    table.commit("CHANGE COLUMN", table.metadata)
    types = pa.schema({**after, "d": pa.decimal128(12, 2)})
    row = [[2**40], [0.25], [1e300], [Decimal("1.25")], [datetime(2026, 1, 2, 3)]]
    table.commit("WRITE", table.add(pa.table(row, types)))
    expected = pa.concat_tables([old.cast(types), pa.table(row, types)])
    assert rows_of(opened(tmp_path / "t").files()) == counted_rows(expected)


SPARK_FOLDERS = {
    "plain": "p=plain",
    "a b": "p=a b",
    "50%": "p=50%25",
    "x=1": "p=x%3D1",
    "a/b": "p=a%2Fb",
    "Ω:?#": "p=Ω%3A%3F%23",
    None: "p=__HIVE_DEFAULT_PARTITION__",
}


def test_the_folders_of_spark_are_found_and_the_values_come_from_the_log(tmp_path):
    root = tmp_path / "t"
    table = HandWritten(root, [X, column("p", pa.string())], ["p"])
    adds = [
        table.add(pa.table({"x": [at]}), {"p": value}, folder)
        for at, (value, folder) in enumerate(SPARK_FOLDERS.items())
    ]
    table.commit("WRITE", *adds, table.add(pa.table({"x": [9]}), {"p": ""}, "p=empty"))
    files = opened(root).files()
    assert {one.key.rpartition("/")[0] for one in files} == {*SPARK_FOLDERS.values(), "p=empty"}
    expected = pa.table({"x": [*range(7), 9], "p": [*SPARK_FOLDERS, None]})
    assert rows_of(files) == counted_rows(expected)
    assert all(one.hive == () for one in files)


def test_timestamps_and_special_numbers_of_partitions_are_read_as_spark_writes_them(tmp_path):
    columns = [X, column("t", pa.timestamp("us", "UTC")), column("f", pa.float64())]
    table = HandWritten(tmp_path / "t", columns, ["t", "f"])
    texts = [
        ("2026-01-02 03:04:05", "NaN"),
        ("2026-01-02 03:04:05.000678", "-Infinity"),
        ("2026-01-02T03:04:05.000678Z", "1.0E-7"),
    ]
    for time, number in texts:
        table.commit("WRITE", table.add(pa.table({"x": [1]}), {"t": time, "f": number}))
    found = {
        (one.view.constants["t"], repr(one.view.constants["f"]))
        for one in opened(table.root).files()
    }
    plain = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    exact = plain.replace(microsecond=678)
    assert found == {(plain, "nan"), (exact, "-inf"), (exact, "1e-07")}


def test_a_shallow_clone_has_the_files_of_the_other_table(tmp_path):
    source, _ = with_appends(tmp_path / "a b", 2)
    clone = HandWritten(tmp_path / "clone", [X])
    paths = [one.location for one in opened(source.root).files()]
    forms = [f"file://{paths[0].replace(' ', '%20')}", paths[1].replace(" ", "%20")]
    for path, form in zip(paths, forms, strict=True):
        add = clone.add(pq.read_table(path))
        clone.commit("CLONE", {"add": {**add["add"], "path": form}})
    own = clone.add(pa.table({"x": [7]}))
    clone.commit("WRITE", {"add": {**own["add"], "path": f"{clone.root}/{own['add']['path']}"}})
    files = opened(clone.root).files()
    assert [one.key for one in files] == sorted([*paths, own["add"]["path"]])
    assert [one.location for one in files if one.key in paths] == sorted(paths)
    assert sum(rows_of(files).values()) == 7


def test_unknown_reader_features_are_refused_by_their_names(tmp_path):
    table = HandWritten(tmp_path / "t", [X], features=["deletionVectors", "catalogManaged", "sky"])
    table.commit("WRITE", table.add(pa.table({"x": [1]})))
    with pytest.raises(
        DataError, match=r"table features 'catalogManaged', 'sky'.*onepass does not"
    ):
        opened(table.root)


def test_a_newer_reader_version_is_refused(tmp_path):
    table = HandWritten(tmp_path / "t", [X])
    protocol = {"protocol": {"minReaderVersion": 4, "minWriterVersion": 7}}
    table.commit("WRITE", protocol)
    table.commit("WRITE", protocol)
    with pytest.raises(DataError, match="needs reader version 4"):
        opened(table.root)


def test_columns_of_the_type_variant_are_left_out(tmp_path):
    columns = [X, column("anything", "variant")]
    table = HandWritten(tmp_path / "t", columns, features=["variantType"])
    table.commit("WRITE", table.add(pa.table({"x": [1]})))
    (file,) = opened(table.root).files()
    assert [one.name for one in file.view.fields] == ["x"]


def test_commits_tell_operations_rewrites_rows_and_deletions(tmp_path):
    table = HandWritten(tmp_path / "t", [X], features=["deletionVectors"])
    one, other = (table.add(pa.table({"x": range(n)})) for n in (3, 5))
    table.commit("WRITE", one)
    table.commit("STREAMING UPDATE", other)
    fewer = table.without(other, [0, 4])
    table.commit("DELETE", removed(other), fewer)
    same = {"dataChange": False}
    whole = table.add(pa.table({"x": range(6)}), **same)
    table.commit("OPTIMIZE", removed(one, **same), removed(fewer, **same), whole)
    table.commit("SET TBLPROPERTIES", table.metadata)
    found = opened(table.root)
    version_1, version_2, version_3, version_4 = found.commits_since(0)
    key, whole_key = other["add"]["path"], whole["add"]["path"]
    assert (version_1.version, version_1.label) == (1, "version 1")
    assert version_1.operation == "STREAMING UPDATE"
    assert version_1.added == (FileOfTable(key, None, 5),)
    assert not version_1.is_rewrite
    (vector,) = [one.deleted for one in version_2.added]
    assert version_2.removed == (FileOfTable(key, None, None),)
    assert version_2.added == (FileOfTable(key, vector, 5),)
    assert version_3.is_rewrite
    assert {one.identity for one in version_3.removed} == {
        (key, vector),
        (one["add"]["path"], None),
    }
    assert version_3.added == (FileOfTable(whole_key, None, 6),)
    assert (version_4.added, version_4.removed) == ((), ())
    assert version_4.is_rewrite
    assert found.commits_since(4) == []
    assert opened(table.root, 2).commits_since(3) == []
    assert [o.version for o in opened(table.root, 2).commits_since(None)] == [0, 1, 2]


def test_commits_that_the_log_no_longer_has_are_an_error_that_says_what_is_left(tmp_path):
    table, adds = with_appends(tmp_path / "t", 6)
    table.checkpoint(adds)
    commits(table.root, 0, 1, 2)
    found = opened(table.root)
    assert [one.version for one in found.commits_since(2)] == [3, 4, 5]
    for since, known in ((1, "version 1"), (None, "its first version")):
        with pytest.raises(HistoryGone, match=f"since {known}.*commits 3 to 5") as caught:
            found.commits_since(since)
        assert "delta.logRetentionDuration" in str(caught.value)
    with pytest.raises(HistoryGone, match="has no version 9: its newest is 5"):
        found.commits_since(9)


def test_versions_that_are_not_there_are_refused_with_those_that_are(tmp_path):
    table, adds = with_appends(tmp_path / "t", 4)
    with pytest.raises(JobError, match="no version 4; its newest is 3"):
        opened(table.root, 4)
    with pytest.raises(JobError, match="no version -1"):
        opened(table.root, -1)
    table.checkpoint(adds)
    commits(table.root, 0, 1)
    with pytest.raises(JobError, match=r"no longer has version 2.*\n.*oldest .* is 3"):
        opened(table.root, 2)


def test_a_commit_that_is_missing_is_an_error(tmp_path):
    table, _ = with_appends(tmp_path / "t", 4)
    commits(table.root, 2)
    with pytest.raises(DataError, match=r"0002\.json: the commit is missing"):
        opened(table.root)
    assert len(opened(table.root, 1).files()) == 2


def test_a_timestamp_takes_the_newest_version_until_then(tmp_path):
    table, _ = with_appends(tmp_path / "t", 5)
    # Versions are a minute apart, from 2023-11-14T22:13:20Z.
    times = {
        "2023-11-14T22:13:20Z": 0,
        "2023-11-14T22:14:19.999Z": 0,
        "2023-11-14T22:14:20": 1,
        "2023-11-15T00:16:20+02:00": 3,
        "2030-01-01": 4,
    }
    assert {at: opened(table.root, timestamp=at).version for at in times} == times
    with pytest.raises(JobError, match=r"oldest is version 0, of 2023-11-14T22:13:20\.000"):
        opened(table.root, timestamp="2023-11-14")
    with pytest.raises(JobError, match="expected a time such as"):
        opened(table.root, timestamp="yesterday")


def test_an_in_commit_timestamp_wins_over_the_clock_of_the_writer(tmp_path):
    table = HandWritten(tmp_path / "t", [X])
    for at in range(3):
        late = 1_800_000_000_000 + 1_000 * at
        table.commit("WRITE", table.add(pa.table({"x": [at]})), inCommitTimestamp=late)
    assert opened(table.root, timestamp="2027-01-15T08:00:01Z").version == 1
    with pytest.raises(JobError, match="oldest is version 0"):
        opened(table.root, timestamp="2026-01-01")


def test_a_file_of_an_earlier_version_is_read_with_the_present_columns(tmp_path):
    table = HandWritten(tmp_path / "t", [X], features=["deletionVectors"])
    add = table.add(pa.table({"x": range(5)}))
    fewer = table.without(add, [1])
    table.commit("WRITE", add)
    table.commit("DELETE", removed(add), fewer)
    table.columns = [X, column("new", pa.string())]
    table.commit("ADD COLUMN", table.metadata)
    table.commit("DELETE", removed(fewer))
    found = opened(table.root)
    (deleted,) = [one.deleted for one in found.commits_since(None)[1].added]
    key = add["add"]["path"]
    assert [one.name for one in found.file(key, None).view.fields] == ["x", "new"]
    assert found.file(key, None).view.deleted is None
    assert found.file(key, deleted).view.deleted.positions().tolist() == [1]
    assert found.file(key, "another") is None
    assert found.file("nothing", None) is None
    next(table.root.glob("deletion_vector_*")).unlink()
    assert found.file(key, deleted) is None
    (table.root / key).unlink()
    assert found.file(key, None) is None


def test_a_file_is_known_by_its_removal_when_the_commit_that_added_it_is_gone(tmp_path):
    table, adds = with_appends(tmp_path / "t", 2)
    table.commit("OPTIMIZE", removed(adds[0], dataChange=False))
    table.checkpoint(adds[1:])
    commits(table.root, 0, 1)
    assert opened(table.root).file(adds[0]["add"]["path"], None) is not None


def test_a_table_that_moved_has_the_same_keys(tmp_path):
    table, _ = with_appends(tmp_path / "t", 2)
    before = [one.key for one in opened(table.root).files()]
    shutil.move(table.root, tmp_path / "moved")
    assert [one.key for one in opened(tmp_path / "moved").files()] == before
    assert opened(f"file://{tmp_path}/moved").id == table.id


def test_a_version_has_one_id_and_no_file_twice(tmp_path):
    table = HandWritten(tmp_path / "t", [X], features=["deletionVectors"])
    add = table.add(pa.table({"x": range(5)}))
    table.commit("WRITE", add)
    assert opened(table.root).id == table.id
    assert (opened(table.root).format, opened(table.root).label) == ("delta", "version 0")
    table.commit("DELETE", table.without(add, [1]))
    with pytest.raises(DataError, match="twice, with other deleted rows"):
        opened(table.root)


def test_statistics_that_tell_no_rows_are_no_error(tmp_path):
    table = HandWritten(tmp_path / "t", [X])
    stats = [None, "", "{}", "[1]", '{"numRecords": -1}', '{"numRecords": 1e400}', "{" * 9_999]
    adds = [table.add(pa.table({"x": [at]}), stats=text) for at, text in enumerate(stats)]
    table.commit("WRITE", *adds)
    (commit,) = opened(table.root).commits_since(None)
    assert [one.rows for one in commit.added] == [None] * len(stats)


def test_columns_of_every_type_have_their_arrow_type(tmp_path):
    names = ["byte", "short", "integer", "long", "float", "double", "string", "boolean", "binary"]
    more = ["date", "timestamp", "timestamp_ntz", "decimal(9,2)", "varchar(8)", "void"]
    table = HandWritten(tmp_path / "t", [column(name, name) for name in [*names, *more]])
    table.commit("WRITE", table.add(pa.table({"byte": pa.array([1], pa.int8())})))
    (file,) = opened(table.root).files()
    found = {one.name: str(one.type) for one in file.view.fields}
    assert [found[name] for name in names] == [
        *("int8", "int16", "int32", "int64", "float", "double", "string", "bool", "binary")
    ]
    assert [found[name] for name in more] == [
        *("date32[day]", "timestamp[us, tz=UTC]", "timestamp[us]", "decimal128(9, 2)"),
        *("string", "null"),
    ]


def test_a_commit_may_hold_actions_that_a_reader_need_not_know(tmp_path):
    table = HandWritten(tmp_path / "t", [X])
    add = table.add(pa.table({"x": [1]}))
    more = [{"txn": {"appId": "a", "version": 1}}, {"domainMetadata": {}}, {"new": {"a": 1}}]
    table.commit("WRITE", add, *more, {"cdc": {"path": "_change_data/x.parquet"}})
    path = table.log / f"{0:020}.json"
    path.write_text(path.read_text() + "\n\n" + json.dumps({"add": None}) + "\n")
    (table.log / "00000000000000000000.00000000000000000009.compacted.json").write_text("no")
    (table.log / "_last_checkpoint").write_text("{")
    assert len(opened(table.root).files()) == 1
