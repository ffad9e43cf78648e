"""Footers, fingerprints and partitions; a file that is not sound Parquet is a BadPartition."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footer_edits import SCHEMA, with_edit
from lakes import number_table, write_files
from onepass.errors import BadPartition
from onepass.lake.discover import discover
from onepass.lake.footer import is_unchanged, partitions, read_footer
from onepass.partition import Fingerprint
from thrift import I32, STRUCT


def only_file(folder):
    (file,) = discover(str(folder))
    return file


def cut(folder, split_bytes):
    file = only_file(folder)
    return list(partitions(file, read_footer(file), split_bytes))


def test_footer_is_what_pyarrow_reads(tmp_path):
    table = number_table(1000, seed=0)
    write_files(tmp_path, {"a.parquet": table}, row_group_size=300)
    footer = read_footer(only_file(tmp_path))
    assert footer.fingerprint.size == (tmp_path / "a.parquet").stat().st_size
    assert (footer.fingerprint.rows, footer.fingerprint.row_groups) == (1000, 4)
    assert footer.row_group_rows() == [300, 300, 300, 100]
    assert footer.schema.equals(pq.read_schema(tmp_path / "a.parquet"))


def test_footer_longer_than_the_first_read_is_read_whole(tmp_path):
    wide = pa.table({f"column_{i}": [1.0] for i in range(1500)})
    write_files(tmp_path, {"wide.parquet": wide})
    assert pq.read_metadata(tmp_path / "wide.parquet").serialized_size > 64 << 10
    assert read_footer(only_file(tmp_path)).schema.names == wide.column_names


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (b"PAR1PAR1", "8 bytes"),
        (b"a,b\n1,2\n" * 10, "truncated, encrypted or not Parquet"),
        (b"PAR1" + bytes(50) + (10**6).to_bytes(4, "little") + b"PAR1", "claims 1000000 bytes"),
        (b"PAR1" + bytes(50) + (2**32 - 1).to_bytes(4, "little") + b"PAR1", "claims 4294967295"),
        (b"PAR1" + b"\xff" * 50 + (50).to_bytes(4, "little") + b"PAR1", "cannot read the Parquet"),
        (b"PAR1" + bytes(4) + b"PAR1", "cannot read the Parquet footer"),
    ],
)
def test_file_that_is_not_parquet_is_a_bad_partition_naming_the_file(tmp_path, content, words):
    (tmp_path / "odd.parquet").write_bytes(content)
    with pytest.raises(BadPartition, match=rf"(?s)^odd.parquet: .*{words}") as caught:
        read_footer(only_file(tmp_path))
    assert (caught.value.path, caught.value.exit_code) == ("odd.parquet", 3)


def test_footer_that_claims_gigabytes_of_a_sparse_file_is_not_read(tmp_path):
    path = tmp_path / "sparse.parquet"
    with open(path, "wb") as stream:
        stream.truncate(5 << 30)
        stream.seek(-8, os.SEEK_END)
        stream.write((2**32 - 10).to_bytes(4, "little") + b"PAR1")
    tracemalloc.start()
    with pytest.raises(BadPartition, match="of at most 268,435,456 bytes, found one of 4,294"):
        read_footer(only_file(tmp_path))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 20


def test_footer_is_held_once(tmp_path):
    noted = number_table(20, seed=1).replace_schema_metadata({"note": "x" * (8 << 20)})
    write_files(tmp_path, {"noted.parquet": noted})
    file = only_file(tmp_path)
    tracemalloc.start()
    read_footer(file)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    nbytes = pq.read_metadata(file.location).serialized_size
    assert 8 << 20 < nbytes < most < 1.5 * nbytes


def test_every_truncation_of_a_file_is_a_bad_partition(tmp_path):
    write_files(tmp_path, {"a.parquet": number_table(20, seed=1)})
    whole, file = (tmp_path / "a.parquet").read_bytes(), only_file(tmp_path)
    for length in range(len(whole)):
        (tmp_path / "a.parquet").write_bytes(whole[:length])
        with pytest.raises(BadPartition):
            read_footer(file)


def test_file_that_vanishes_after_discovery_is_a_bad_partition(tmp_path):
    write_files(tmp_path, {"a.parquet": number_table(20, seed=1)})
    file = only_file(tmp_path)
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(BadPartition, match="No such file"):
        read_footer(file)


def test_footer_of_a_file_with_encrypted_columns_can_be_sent_to_a_worker(tmp_path):
    """pyarrow crashes the process when it serializes such metadata."""
    write_files(tmp_path, {"a.parquet": number_table(20, seed=1)})
    path = tmp_path / "a.parquet"
    aes_gcm = (STRUCT, {1: (STRUCT, {})})
    path.write_bytes(with_edit(path.read_bytes(), ((8,), "set", aes_gcm)))
    footer = read_footer(only_file(tmp_path))
    sent = pickle.loads(pickle.dumps(footer))
    assert sent.metadata.equals(footer.metadata)
    assert (sent.schema, sent.fingerprint) == (footer.schema, footer.fingerprint)


@pytest.mark.parametrize("nested", [False, True])
def test_column_of_nulls_that_may_hold_none_is_a_bad_partition(tmp_path, nested):
    nothing = pa.nulls(3) if not nested else pa.array([{"x": None}] * 3)
    write_files(tmp_path, {"a.parquet": pa.table({"y": [1.0, 2.0, 3.0], "n": nothing})})
    path = tmp_path / "a.parquet"
    place = (SCHEMA, "3" if nested else "2", 3)
    path.write_bytes(with_edit(path.read_bytes(), (place, "set", (I32, 0))))
    with pytest.raises(BadPartition, match="null type field may not be non-nullable"):
        read_footer(only_file(tmp_path))


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"]
)
def test_pipe_or_device_is_a_bad_partition_and_not_waited_for(tmp_path, make):
    make(tmp_path / "x.parquet")
    file = only_file(tmp_path)
    with pytest.raises(BadPartition, match="expected a file, found a pipe or a device"):
        read_footer(file)
    assert not is_unchanged(file, Fingerprint(size=0, footer_sha256="", rows=0, row_groups=0))


def test_flipped_bytes_in_a_footer_give_a_footer_or_a_bad_partition(tmp_path):
    """If such a footer is read at all, the rows of its row groups add up to those of the file."""
    write_files(tmp_path, {"a.parquet": number_table(60, seed=2)}, row_group_size=20)
    whole, file = (tmp_path / "a.parquet").read_bytes(), only_file(tmp_path)
    first = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    rng, refused = np.random.default_rng(0), 0
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[rng.integers(first, len(whole) - 8)] ^= rng.integers(1, 256)
        (tmp_path / "a.parquet").write_bytes(damaged)
        try:
            footer = read_footer(file)
            parts = list(partitions(file, footer, 500))
        except BadPartition:
            refused += 1
        else:
            assert sum(part.rows for part in parts) == footer.fingerprint.rows
            assert all(part.rows > 0 for part in parts)
    assert 100 < refused < 500


def test_file_counts_as_unchanged_for_the_same_size_and_footer_and_nothing_else(tmp_path):
    write_files(tmp_path, {"a.parquet": number_table(60, seed=2)})
    path, file = tmp_path / "a.parquet", only_file(tmp_path)
    whole, found = path.read_bytes(), read_footer(file).fingerprint
    assert is_unchanged(file, found)
    flipped = whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:]
    for other in (whole[:-1], whole + whole, b"", flipped):
        path.write_bytes(other)
        assert not is_unchanged(file, found)
    assert not is_unchanged(file, replace(found, etag="another"))
    path.unlink()
    assert not is_unchanged(file, found)
    path.write_bytes(whole)
    assert is_unchanged(file, found)


def test_footer_whose_counts_contradict_each_other_is_a_bad_partition(tmp_path):
    write_files(tmp_path, {"a.parquet": pa.table({"x": np.zeros(1000)})})
    # Thrift writes an i64 field as 0x16 and a zigzag varint; 1000 is 0xd0 0x0f, 1001 is 0xd2 0x0f.
    whole = (tmp_path / "a.parquet").read_bytes()
    first = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    lying = whole[:first] + whole[first:].replace(b"\x16\xd0\x0f", b"\x16\xd2\x0f", 1)
    assert lying != whole
    (tmp_path / "a.parquet").write_bytes(lying)
    with pytest.raises(BadPartition, match="claims 1001 rows, but row groups of 1000"):
        read_footer(only_file(tmp_path))


def test_fingerprint_changes_with_the_content_and_with_nothing_else(tmp_path):
    table = number_table(500, seed=3)
    variants = {
        "same/a.parquet": table,
        "copy/a.parquet": table,
        "values/a.parquet": number_table(500, seed=4),
        "rows/a.parquet": table.slice(0, 499),
        "names/a.parquet": table.rename_columns(["a", "b", "d", "level", "y"]),
    }
    write_files(tmp_path, variants)
    write_files(tmp_path, {"groups/a.parquet": table}, row_group_size=250)
    prints = {file.key: read_footer(file).fingerprint for file in discover(str(tmp_path))}
    assert prints["same/a.parquet"] == prints["copy/a.parquet"]
    assert len(set(prints.values())) == 5


@pytest.mark.parametrize("split_bytes", [1, 3000, 10_000, 1 << 30])
def test_partitions_cover_every_row_group_once_whatever_their_size(tmp_path, split_bytes):
    write_files(tmp_path, {"a.parquet": number_table(2500, seed=5)}, row_group_size=100)
    found = cut(tmp_path, split_bytes)
    assert found == cut(tmp_path, split_bytes)
    edges = [(part.first_row_group, part.end_row_group) for part in found]
    assert [first for first, _ in edges] == [0, *(end for _, end in edges[:-1])]
    assert edges[-1][1] == 25
    assert sum(part.rows for part in found) == 2500
    assert len({part.name for part in found}) == len(found)
    assert (len(found) == 1) == (split_bytes == 1 << 30)
    assert (found[0].name == "a.parquet") == (len(found) == 1)


def test_partitions_are_cut_at_about_the_size_asked_for(tmp_path):
    write_files(tmp_path, {"a.parquet": number_table(10_000, seed=6)}, row_group_size=100)
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    found = cut(tmp_path, 20_000)
    for part in found[:-1]:
        nbytes = sum(sizes[part.first_row_group : part.end_row_group])
        assert 20_000 <= nbytes < 20_000 + max(sizes)


def test_file_without_rows_has_no_partition_and_empty_row_groups_do_no_harm(tmp_path):
    table = number_table(30, seed=7)
    write_files(tmp_path / "none", {"a.parquet": table.slice(0, 0)})
    assert read_footer(only_file(tmp_path / "none")).fingerprint.rows == 0
    assert cut(tmp_path / "none", 1) == []
    (tmp_path / "some").mkdir()
    with pq.ParquetWriter(tmp_path / "some/a.parquet", table.schema) as sink:
        for n_rows in (0, 10, 0, 0, 20, 0):
            sink.write_table(table.slice(0, n_rows), row_group_size=100)
    assert read_footer(only_file(tmp_path / "some")).row_group_rows() == [0, 10, 0, 0, 20, 0]
    for split_bytes in (1, 1 << 30):
        assert sum(part.rows for part in cut(tmp_path / "some", split_bytes)) == 30
        assert all(part.rows for part in cut(tmp_path / "some", split_bytes))
