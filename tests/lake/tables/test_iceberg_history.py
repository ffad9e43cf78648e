"""The commits of an Iceberg table: what each snapshot added and removed."""

from __future__ import annotations

import json
import random

import pytest

from iceberg_tables import (
    catalogue,
    compact,
    data_uris,
    deletion_vector,
    equality_deletes,
    local,
    move_to,
    opened,
    position_deletes,
    rows,
    say_replace,
)
from onepass.errors import HistoryGone


@pytest.fixture
def table(tmp_path):
    with catalogue(tmp_path) as tables:
        found = tables.create_table("db.t", schema=rows(0, 1).schema)
        found.append(rows(0, 10))
        yield found


def now(table):
    table.refresh()
    return table.current_snapshot().snapshot_id


def state(table, version=None):
    """Files of a snapshot with their deletions."""
    files = opened(table, version=version).files()
    return {(one.key, one.view.deleted and one.view.deleted.identity) for one in files}


def folded(commits, before):
    """Apply commits to the files of a snapshot; each must remove and add what it can."""
    files = set(before)
    for commit in commits:
        gone = {one.identity for one in commit.removed}
        come = {one.identity for one in commit.added}
        assert gone <= files
        assert not come & (files - gone)
        files = (files - gone) | come
    return files


def shapes(commits):
    return [(c.operation, c.is_rewrite, len(c.added), len(c.removed)) for c in commits]


def test_each_snapshot_tells_what_it_added_and_removed(table):
    first = now(table)
    table.append(rows(10, 10))
    table.delete("id = 3")
    compact(table)
    table.overwrite(rows(50, 2))
    commits = opened(table).commits_since(first)
    assert shapes(commits) == [
        ("append", False, 1, 0),
        ("overwrite", False, 1, 1),
        ("replace", True, 1, 2),
        ("delete", False, 0, 1),
        ("append", False, 1, 0),
    ]
    assert [one.rows for one in commits[1].added + commits[1].removed] == [9, 10]
    assert commits[-1].version == now(table)
    assert commits[-1].label == f"snapshot {now(table)}"
    assert folded(commits, state(table, first)) == state(table)
    assert folded(opened(table).commits_since(None), set()) == state(table)
    assert opened(table).commits_since(now(table)) == []
    assert opened(table, version=first).commits_since(now(table)) == []


def test_a_replace_that_changes_the_number_of_rows_is_no_rewrite(table):
    first = now(table)
    with table.transaction() as change, change.update_snapshot().overwrite() as update:
        say_replace(update)
        update.delete_data_file(next(iter(table.scan().plan_files())).file)
    assert shapes(opened(table).commits_since(first)) == [("replace", False, 0, 1)]


def test_new_manifests_of_the_same_files_change_nothing(table):
    with table.transaction() as change:
        change.set_properties(
            {"commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": "2"}
        )
    for first in (10, 20, 30):
        before = now(table)
        table.append(rows(first, 2))
        assert shapes(opened(table).commits_since(before)) == [("append", False, 1, 0)]
    table.append(rows(40, 2))
    assert folded(opened(table).commits_since(None), set()) == state(table)


def test_deleted_rows_are_another_file_and_only_where_rows_were_deleted(table):
    table.append(rows(10, 10))
    first = now(table)
    uris = data_uris(table)
    position_deletes(table, {uris[0]: [1]})
    deletion_vector(table, uris[1], [2])
    table.append(rows(20, 5))
    position_deletes(table, {uris[0]: [2]}, target=True)
    commits = opened(table).commits_since(first)
    assert shapes(commits) == [
        ("delete", False, 1, 1),
        ("delete", False, 1, 1),
        ("append", False, 1, 0),
        ("delete", False, 1, 1),
    ]
    key = uris[0].removeprefix(f"{table.location()}/")
    assert {one.key for one in commits[0].added + commits[3].removed} == {key}
    assert folded(commits, state(table, first)) == state(table)
    compact(table)
    assert shapes(opened(table).commits_since(commits[-1].version)) == [("replace", True, 1, 3)]
    assert folded(opened(table).commits_since(first), state(table, first)) == state(table)


def test_equality_deletes_of_the_past_touch_each_older_file(table):
    table.append(rows(10, 10))
    first = now(table)
    equality_deletes(table, [3])
    table.refresh()
    table.overwrite(rows(0, 3))
    assert shapes(opened(table).commits_since(first)) == [
        ("delete", False, 2, 2),
        ("delete", False, 0, 2),
        ("append", False, 1, 0),
    ]


def test_a_roll_back_removes_what_came_after_the_common_snapshot(table):
    common = now(table)
    table.append(rows(10, 10))
    table.delete("id = 0")
    trained = now(table)
    move_to(table, common)
    assert opened(table).commits_since(trained) == []
    table.append(rows(90, 4))
    commits = opened(table).commits_since(trained)
    assert shapes(commits) == [("rollback", False, 1, 2), ("append", False, 1, 0)]
    assert commits[0].version == common
    assert commits[0].label == f"roll-back from snapshot {trained} to snapshot {common}"
    assert folded(commits, state(table, trained)) == state(table)


def expired(table, *snapshot_ids):
    """Remove snapshots from the table, with their manifest lists."""
    metadata = json.loads(local(table.metadata_location).read_text())
    for one in metadata["snapshots"]:
        if one["snapshot-id"] in snapshot_ids:
            local(one["manifest-list"]).unlink(missing_ok=True)
    metadata["snapshots"] = [
        one for one in metadata["snapshots"] if one["snapshot-id"] not in snapshot_ids
    ]
    metadata["snapshot-log"] = []
    path = local(table.metadata_location).with_name("00099-expired.metadata.json")
    path.write_text(json.dumps(metadata))
    return str(path)


def test_an_expired_snapshot_is_a_start_as_long_as_its_child_is_there(table):
    first, before = now(table), state(table)
    table.append(rows(10, 10))
    second = now(table)
    table.delete("id = 3")
    path = expired(table, first)
    commits = opened(path).commits_since(first)
    assert shapes(commits) == [("append", False, 1, 0), ("overwrite", False, 1, 1)]
    assert folded(commits, before) == state(table)
    path = expired(table, first, second)
    assert shapes(opened(path).commits_since(second)) == [("overwrite", False, 1, 1)]
    for since in (first, 12345, None):
        with pytest.raises(HistoryGone, match=r"no longer has .*\n.*keep snapshots"):
            opened(path).commits_since(since)


def test_an_expired_start_with_deletions_since_is_gone(table):
    first, uri = now(table), data_uris(table)[0]
    position_deletes(table, {uri: [1]})
    with pytest.raises(HistoryGone):
        opened(expired(table, first)).commits_since(first)


def test_former_files_are_found_while_they_are_on_the_disk(table):
    [old] = opened(table).files()
    uri = data_uris(table)[0]
    position_deletes(table, {uri: [1]})
    [deleted] = opened(table).files()
    table.refresh()
    table.overwrite(rows(50, 2))
    present = opened(table)
    assert present.file(old.key, None) == old
    assert present.file(old.key, deleted.view.deleted.identity) == deleted
    assert present.file(old.key, "unknown") is None
    assert present.file("data/other.parquet", None) is None
    local(uri).unlink()
    assert present.file(old.key, None) is None


@pytest.mark.filterwarnings("ignore:Delete operation did not match")
@pytest.mark.parametrize("seed", range(3))
def test_the_commits_since_any_snapshot_lead_to_the_files_of_any_later_one(table, seed):
    chance = random.Random(seed)
    versions, free = [now(table)], 100
    for _ in range(10):
        table.refresh()
        act = chance.choice(["append", "append", "delete", "positions", "vector", "compact"])
        uris = data_uris(table)
        if act == "append" or not uris:
            table.append(rows(free, 6))
            free += 6
        elif act == "delete":
            table.delete(f"id >= {free - 3}")
        elif act == "positions":
            chosen = chance.sample(uris, min(2, len(uris)))
            position_deletes(table, {uri: [chance.randrange(3)] for uri in chosen})
        elif act == "vector":
            deletion_vector(table, chance.choice(uris), [0, 1])
        else:
            compact(table)
        versions.append(now(table))
    for before, after in [(0, -1), (3, -1), (2, 7), (5, 6)]:
        found = opened(table, version=versions[after])
        commits = found.commits_since(versions[before])
        expected = state(table, versions[after])
        assert folded(commits, state(table, versions[before])) == expected


def test_tables_of_one_append_each_have_no_removed_files(table):
    assert shapes(opened(table).commits_since(None)) == [("append", False, 1, 0)]
    assert opened(table).commits_since(None)[0].added[0].rows == 10
