"""Deleted rows of Iceberg tables: position deletes, deletion vectors, equality deletes."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from iceberg_tables import (
    catalogue,
    data_uris,
    deletion_vector,
    equality_deletes,
    in_order,
    local,
    opened,
    position_deletes,
    read,
    rows,
    scanned,
    vector_blob,
)
from onepass.errors import BadPartition, DataError
from onepass.lake.tables import iceberg_deleted_rows
from onepass.lake.tables.iceberg_deleted_rows import vector_positions


@pytest.fixture
def table(tmp_path):
    """A table of three files with ten rows each; ids count through them in order of appending."""
    with catalogue(tmp_path) as tables:
        found = tables.create_table("db.t", schema=rows(0, 1).schema)
        for first in (0, 10, 20):
            found.append(rows(first, 10))
        yield found


def uri_of(table, first_id):
    """URI of the data file whose first id this is."""
    [found] = [
        one for one in data_uris(table) if pq.read_table(local(one))["id"][0].as_py() == first_id
    ]
    return found


def ids(table):
    expected = scanned(table)
    assert in_order(read(opened(table).files())) == expected
    return [row["id"] for row in expected]


@pytest.mark.parametrize("most_kept", [1 << 20, 0])
def test_position_deletes_delete_the_rows_of_the_files_they_name(table, monkeypatch, most_kept):
    monkeypatch.setattr(iceberg_deleted_rows, "_MOST_KEPT_ROWS", most_kept)
    first, second = uri_of(table, 0), uri_of(table, 10)
    position_deletes(table, {first: [9, 0], second: [5]})
    position_deletes(table, {first: [0, 3]}, target=True)
    assert ids(table) == [1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, *range(16, 30)]
    deleted = {file.key: file.view.deleted for file in opened(table).files()}
    whole = [one for one in deleted.values() if one is None]
    assert len(whole) == 1
    # A delete file is no data, and the deletions go to workers unread.
    assert not any("deletes" in key for key in deleted)
    assert pickle.loads(pickle.dumps(deleted)) == deleted


def test_position_deletes_do_not_reach_younger_files(table):
    uri = uri_of(table, 0)
    position_deletes(table, {uri: [0, 1]})
    kept = local(uri).read_bytes()
    table.refresh()
    table.delete("id < 10")
    assert ids(table) == list(range(10, 30))
    # The same file is added again: it is younger than the deletions.
    local(uri).write_bytes(kept)
    table.add_files([uri], check_duplicate_files=False)
    # pyiceberg itself deletes them, because it gathers the deletions of all files by path.
    found = in_order(read(opened(table).files()))
    assert [row["id"] for row in found] == list(range(30))


def test_the_identity_follows_the_deletions_of_a_file_alone(table):
    def identities():
        files = opened(table).files()
        return {file.key: file.view.deleted and file.view.deleted.identity for file in files}

    first, second = uri_of(table, 0), uri_of(table, 10)
    key = {uri: uri.removeprefix(f"{table.location()}/") for uri in (first, second)}
    assert set(identities().values()) == {None}
    position_deletes(table, {first: [1]})
    before = identities()
    assert before[key[first]]
    assert not before[key[second]]
    # This delete file belongs to the same partition, but names another data file.
    position_deletes(table, {second: [1]})
    assert identities()[key[first]] == before[key[first]]
    position_deletes(table, {first: [2]})
    assert identities()[key[first]] not in (None, before[key[first]])


def test_a_deletion_vector_deletes_rows_and_replaces_position_deletes(table):
    first, second = uri_of(table, 0), uri_of(table, 10)
    position_deletes(table, {second: [0]})
    deletion_vector(table, first, [0, 2, 9])
    assert ids(table) == [1, 3, 4, 5, 6, 7, 8, *range(11, 30)]
    # A vector holds the older deletions of its file as well; without them they are undone.
    deletion_vector(table, second, [3])
    found = in_order(read(opened(table).files()))
    assert [row["id"] for row in found if 10 <= row["id"] < 20] == [10, 11, 12, *range(14, 20)]


def test_vectors_of_every_form_are_decoded():
    rng = np.random.default_rng(3)
    for numbers in (
        [0],
        list(range(100_000)),
        np.unique(rng.integers(0, 10**6, 50_000)).tolist(),
        [5, 2**32, 2**33 + 7],
    ):
        found = vector_positions(vector_blob(numbers), len(numbers), 2**34)
        assert found.dtype == np.int64
        assert found.tolist() == numbers
    one = vector_blob([1])
    with pytest.raises(ValueError, match="expected 2 numbers, found 1"):
        vector_positions(one, 2, 5)
    with pytest.raises(ValueError, match="expected rows of 1, found row 1"):
        vector_positions(one, 1, 1)


def test_every_damage_of_a_vector_is_noticed():
    blob = vector_blob([1, 5, 77, 70_000])
    for at in range(len(blob)):
        for damaged in (blob[:at], blob[:at] + bytes([blob[at] ^ 0x41]) + blob[at + 1 :]):
            with pytest.raises(ValueError, match=r"vector|checksum"):
                vector_positions(damaged, 4, 10**6)


def test_unreadable_deletions_name_the_delete_file(table):
    path = deletion_vector(table, uri_of(table, 0), [1])
    path.write_bytes(path.read_bytes()[:10])
    [file] = [one for one in opened(table).files() if one.view.deleted]
    with pytest.raises(BadPartition, match=f"{path.name}.* cannot be read: expected a deletion"):
        file.view.deleted.positions()
    path.unlink()
    with pytest.raises(BadPartition, match=f"{path.name}.* cannot be read"):
        file.view.deleted.positions()


def test_a_position_delete_file_of_other_columns_is_refused(table):
    first = uri_of(table, 0)
    position_deletes(table, {first: [1]}, target=True)
    [path] = [one for one in local(table.location()).glob("data/*-deletes.parquet")]
    for damaged, reason in [
        (pa.table({"file_path": [first]}), "found no pos"),
        (pa.table({"file_path": [first], "pos": [-1]}), "row numbers from 0"),
        (pa.table({"file_path": [first], "pos": pa.array([None], pa.int64())}), "found null"),
        (pa.table({"file_path": [first], "pos": [0.5]}), "truncated"),
    ]:
        iceberg_deleted_rows._split.cache_clear()
        pq.write_table(damaged, path)
        # The manifest tells how long the file was; files on a disk are read as they are.
        [file] = [one for one in opened(table).files() if one.view.deleted]
        with pytest.raises(BadPartition, match=reason):
            file.view.deleted.positions()


def test_equality_deletes_are_refused_until_the_table_is_compacted(table):
    path = equality_deletes(table, [3])
    with pytest.raises(DataError, match=f"(?s){path}.*Compact the table"):
        opened(table).files()
    # What comes after them is not touched by them.
    table.overwrite(rows(0, 3))
    assert ids(table) == [0, 1, 2]
