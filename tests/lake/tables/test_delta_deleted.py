"""Deletion vectors give the rows that deltalake leaves out, wherever they are kept."""

from __future__ import annotations

import json
import pickle

import pyarrow as pa
import pytest

from delta_tables import HandWritten, column, packed_rows, removed, rows_by_deltalake, z85
from onepass.errors import BadPartition, DataError
from onepass.lake.tables.delta import open_table
from onepass.lake.tables.delta_deleted import deletion_vector, unpacked
from onepass.lake.tables.delta_paths import TableRoot
from onepass.lake.tables.table import TableChoice
from table_rows import counted_rows, rows_of

DELETED = {
    "few": [0, 3, 99],
    "runs": [*range(10, 400), 998],
    "many": list(range(0, 1_000, 2)),
    "all": list(range(1_000)),
}


def vector_table(path, rows: list[int], kind: str = "u", prefix: str = "", *, native: bool = False):
    table = HandWritten(path, [column("x", pa.int64())], features=["deletionVectors"])
    add = table.add(pa.table({"x": range(1_000)}))
    table.commit("WRITE", add)
    table.commit("DELETE", removed(add), table.without(add, rows, kind, prefix, native=native))
    return table


def test_z85_is_decoded_as_its_specification_has_it():
    assert unpacked("HelloWorld") == bytes([0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B])
    assert unpacked(z85(bytes(range(256)))) == bytes(range(256))


def test_the_examples_of_the_protocol_are_read_as_it_says():
    root = TableRoot("s3://mytable")
    sizes = {"sizeInBytes": 40, "cardinality": 6}
    inline = "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L"
    found = deletion_vector({"storageType": "i", "pathOrInlineDv": inline, **sizes}, root, "x")
    assert found.positions().tolist() == [3, 4, 7, 11, 18, 29]
    stored = {"storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 4, **sizes}
    place = "s3://mytable/ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"
    assert deletion_vector(stored, root, "x").location == place


@pytest.mark.parametrize("text", ["Hello~", "Hell", "\x00\x00\x00\x00\x00", "#####"])
def test_a_text_that_is_not_z85_is_refused(text):
    with pytest.raises(ValueError, match="Z85"):
        unpacked(text)


@pytest.mark.parametrize(("kind", "prefix"), [("u", ""), ("u", "ab"), ("p", ""), ("i", "")])
@pytest.mark.parametrize("rows", DELETED.values(), ids=DELETED)
def test_the_rows_that_are_left_are_those_of_deltalake(tmp_path, rows, kind, prefix):
    vector_table(tmp_path / "t", rows, kind, prefix)
    (file,) = open_table(str(tmp_path / "t"), TableChoice()).files()
    deleted = pickle.loads(pickle.dumps(file.view)).deleted
    assert deleted.n_rows == len(rows)
    assert deleted.positions().tolist() == rows
    assert rows_of([file]) == counted_rows(rows_by_deltalake(tmp_path / "t"))


def test_a_vector_of_the_older_format_is_decoded(tmp_path):
    vector_table(tmp_path / "t", DELETED["runs"], native=True)
    (file,) = open_table(str(tmp_path / "t"), TableChoice()).files()
    assert file.view.deleted.positions().tolist() == DELETED["runs"]


@pytest.mark.parametrize("kind", ["u", "p", "i"])
def test_other_deleted_rows_have_another_identity(tmp_path, kind):
    table = vector_table(tmp_path / "t", [1], kind)
    (before,) = open_table(str(tmp_path / "t"), TableChoice()).files()
    file = {"add": {**table.add(pa.table({"x": [1]}))["add"], "path": before.key}}
    vector = json.loads((table.log / f"{1:020}.json").read_text().splitlines()[2])["add"]
    table.commit("DELETE", removed({"add": vector}), table.without(file, [2], kind))
    (after,) = open_table(str(tmp_path / "t"), TableChoice()).files()
    assert before.key == after.key
    assert before.view.deleted.identity != after.view.deleted.identity
    assert after.view.deleted.positions().tolist() == [2]


@pytest.mark.parametrize("damage", ["missing", "short", "flipped", "length"])
def test_a_damaged_vector_is_an_error_of_its_file(tmp_path, damage):
    vector_table(tmp_path / "t", DELETED["few"])
    (stored,) = (tmp_path / "t").glob("deletion_vector_*.bin")
    data = bytearray(stored.read_bytes())
    if damage == "short":
        del data[-6:]
    data[-8 if damage == "flipped" else -len(packed_rows(DELETED["few"])) - 8] ^= 1
    stored.write_bytes(data)
    if damage == "missing":
        stored.unlink()
    (file,) = open_table(str(tmp_path / "t"), TableChoice()).files()
    with pytest.raises(BadPartition, match=r"deletion vector .* of the file is") as caught:
        file.view.deleted.positions()
    assert caught.value.path == file.key


@pytest.mark.parametrize(
    "wrong",
    [
        {"storageType": "x"},
        {"storageType": 5},
        {"pathOrInlineDv": None},
        {"pathOrInlineDv": "short"},
        {"pathOrInlineDv": "../" + "0" * 20},
        {"storageType": "p", "pathOrInlineDv": "file:///data/../../etc/passwd"},
        {"storageType": "p", "pathOrInlineDv": "https://user:secret@host/x"},
        {"sizeInBytes": -1},
        {"sizeInBytes": 1 << 70},
        {"offset": "1"},
        {"cardinality": None},
        {"cardinality": 1e300},
    ],
    ids=str,
)
def test_a_descriptor_that_is_not_of_the_protocol_is_refused(tmp_path, wrong):
    table = HandWritten(tmp_path / "t", [column("x", pa.int64())], features=["deletionVectors"])
    whole = table.without(table.add(pa.table({"x": range(9)})), [1])
    found = {**whole["add"]["deletionVector"], **wrong}
    table.commit("WRITE", {"add": {**whole["add"], "deletionVector": found}})
    with pytest.raises(DataError, match=r"00000\.json, line 4: found") as caught:
        open_table(str(tmp_path / "t"), TableChoice())
    assert "secret" not in str(caught.value)
