"""Chunk metadata read from a footer's bytes: what pyarrow reads, and never beyond the end."""

from __future__ import annotations

import io
import pickle
import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footer_edits import COLUMNS, META_DATA, ROW_GROUPS, STATISTICS, footer_start
from lakes import ROOT
from onepass.lake.chunks import Chunk, read_chunks
from onepass.lake.footer_fields import NULLS, PRESENT
from onepass.lake.footer_fields import chunk_fields as chunk_fields_and_encryption
from thrift import BINARY, DOUBLE, I64, LIST, MAP, STRUCT, read_struct, write_struct


def many_kinds(n_rows=50):
    n = np.arange(n_rows)
    some = n % 3 == 0
    return pa.table(
        {
            "real": pa.array(n * 0.5, mask=some),
            "float": n.astype(np.float32),
            "flag": n % 2 == 0,
            "id": n,
            "small": n.astype(np.int8),
            "price": pa.array([Decimal(int(i)) / 4 for i in n], pa.decimal128(12, 2)),
            "when": pa.array(n, pa.timestamp("ns")),
            "text": pa.array(n.astype(str), mask=some),
            "blob": pa.array([b"x"] * n_rows),
            "fixed": pa.array([b"abcd"] * n_rows, pa.binary(4)),
            "tags": [["a", "b"] * (i % 3) for i in range(n_rows)],
            "point": [{"x": 1.0, "y": {"z": i}} for i in range(n_rows)],
            "nothing": pa.nulls(n_rows),
        }
    )


def chunk_fields(*arguments):
    return chunk_fields_and_encryption(*arguments)[0]


def written(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    whole = sink.getvalue()
    return whole[footer_start(whole) :]


OPTIONS = [
    {"row_group_size": 20},
    {"use_dictionary": False, "write_page_index": True, "compression": "zstd"},
    {"use_deprecated_int96_timestamps": True, "write_statistics": ["real", "when"]},
    {"row_group_size": 3, "store_decimal_as_integer": True, "data_page_version": "2.0"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_fields_are_those_that_pyarrow_reads_of_sound_files(options):
    footer = written(many_kinds(), **options)
    metadata = pq.read_metadata(pa.BufferReader(footer))
    chunks = pickle.loads(pickle.dumps(read_chunks(footer, metadata)))
    counts = chunks.null_counts()
    for g in range(metadata.num_row_groups):
        for c in range(metadata.num_columns):
            found, expected = chunks.one(g, c), metadata.row_group(g).column(c)
            for name in set(Chunk._fields) - {"column", "null_count", "is_flat"}:
                assert getattr(found, name) == getattr(expected, name), (g, c, name)
            # pyarrow gives no statistics of int96, which has no order; its nulls are counted.
            if expected.statistics is not None:
                assert found.null_count == expected.statistics.null_count
            assert counts[g, c] == (-1 if found.null_count is None else found.null_count)


@pytest.mark.parametrize("options", OPTIONS)
def test_footers_that_are_taken_apart_and_put_together_are_the_same(options):
    """The tests of damaged footers rely on it."""
    footer = written(many_kinds(), **options)[:-8]
    assert write_struct(read_struct(footer)) == footer


def test_files_without_rows_or_row_groups_have_no_chunks():
    footer = written(many_kinds().slice(0, 0))
    metadata = pq.read_metadata(pa.BufferReader(footer))
    chunks = read_chunks(footer, metadata)
    assert chunks.fields.shape[:2] == (metadata.num_row_groups, metadata.num_columns)


def test_fields_that_are_not_known_are_skipped_whatever_their_kind():
    """A later version of the format may add any."""
    fields = read_struct(written(many_kinds(), row_group_size=20))
    expected = chunk_fields(write_struct(fields), 3, 14)
    more = {
        30: (BINARY, b"x" * 300),
        31: (LIST, (LIST, [(STRUCT, [{1: (I64, 5)}]), (1, [True, False])])),
        32: (STRUCT, {1: (DOUBLE, 0.5), 2: (1, True), 3: (2, False)}),
        33: (DOUBLE, -1.0),
        5000: (I64, -(2**63)),
    }
    chunk = fields[ROW_GROUPS][1][1][1][COLUMNS][1][1][0]
    for holder in (fields, chunk, chunk[META_DATA][1], chunk[META_DATA][1][STATISTICS][1]):
        holder |= more
    # A map of two numbers to structs, at the end of the footer.
    a_map = bytes([MAP, 0x80, 0x7D, 2, I64 << 4 | STRUCT, 2, 0x15, 2, 0, 4, 0])
    data = write_struct(fields)[:-1] + a_map + b"\0"
    assert np.array_equal(chunk_fields(data, 3, 14), expected)


def test_field_of_another_kind_is_missing_and_the_last_of_two_counts():
    fields = read_struct(written(many_kinds()))
    statistics = fields[ROW_GROUPS][1][1][0][COLUMNS][1][1][0][META_DATA][1][STATISTICS][1]
    statistics[3] = (BINARY, b"17")
    assert not chunk_fields(write_struct(fields), 1, 14)[0, 0, PRESENT] >> NULLS & 1
    del statistics[3]
    twice = write_struct(statistics)[:-1]
    # Field numbers of 0x06 (i64), the number 3, and the values 4 and 5.
    statistics_twice = twice + bytes([I64, 6, 8, I64, 6, 10, 0])
    data = write_struct(fields).replace(write_struct(statistics), statistics_twice, 1)
    assert chunk_fields(data, 1, 14)[0, 0, NULLS] == 5


def test_any_truncation_is_an_error():
    footer = written(many_kinds(5))[:-8]
    chunk_fields(footer, 1, 14)
    for length in range(len(footer)):
        with pytest.raises(ValueError, match="goes beyond its end"):
            chunk_fields(footer[:length], 1, 14)


def test_any_bytes_give_numbers_or_an_error():
    footer, rng, refused = written(many_kinds(5)), np.random.default_rng(0), 0
    for i in range(5_000):
        damaged = np.frombuffer(footer, np.uint8).copy()
        places = rng.integers(0, len(damaged), 1 + i % 5)
        damaged[places] = rng.integers(0, 256, len(places))
        try:
            assert chunk_fields(damaged.tobytes(), 1, 14).shape == (1, 14, PRESENT + 1)
        except ValueError:
            refused += 1
    assert 500 < refused < 5_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x19" * 10_000,
        b"\x1c" * 10_000,
        b"\x18" + b"\xff" * 9 + b"\x7f",
        b"\x19\xfc" + b"\xff" * 8 + b"\x01",
        b"\x1f\0",
        b"\x17",
        b"\x1b\x05",
    ],
    ids=["nothing", "lists", "structs", "text", "list", "kind", "double", "map"],
)
def test_hostile_structure_is_an_error(data):
    with pytest.raises(ValueError, match="goes beyond its end, or has an unknown kind"):
        chunk_fields(data, 1, 1)


def test_other_numbers_of_row_groups_or_columns_are_errors():
    footer = written(many_kinds(), row_group_size=20)
    with pytest.raises(ValueError, match="has 4 row groups for pyarrow, but holds 3"):
        chunk_fields(footer, 4, 14)
    with pytest.raises(ValueError, match="row group 0 has 14 columns, but the schema has 13"):
        chunk_fields(footer, 3, 13)


def test_no_module_asks_pyarrow_for_the_metadata_of_a_chunk():
    """Its accessors end the process at footers that contradict themselves."""
    asks = re.compile(r"row_group\(.*\)\.column\b|\bgroup\.column\(|\.statistics\b|\.encodings\b")
    for folder in ("pipeline", "flows"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not asks.findall(path.read_text()), path
