"""Footer checks: every chunk is checked, contradictions are found, and no memory is kept."""

from __future__ import annotations

import gc
import io
import sys
import weakref

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footer_edits import COLUMNS, META_DATA, ROW_GROUPS, STATISTICS, footer_start, with_edit
from lakes import number_table
from onepass.errors import BadPartition
from onepass.lake.chunks import read_chunks
from onepass.lake.footer_checks import EmptyFile, check_claims, contradictions, look_through
from thrift import BINARY, I32, I64, LIST, STRUCT

ALL = range(3), range(5)
"""Row groups and columns of the file."""


@pytest.fixture
def whole():
    """A file with the columns a, b, c, level and y."""
    sink = io.BytesIO()
    pq.write_table(number_table(60, seed=1), sink, row_group_size=20)
    return sink.getvalue()


@pytest.fixture
def metadata(whole):
    return pq.read_metadata(pa.BufferReader(whole))


def found_in(whole, nbytes=None):
    footer = whole[footer_start(whole) :]
    metadata = pq.read_metadata(pa.BufferReader(footer))
    return contradictions(metadata, read_chunks(footer, metadata), nbytes or len(whole))


def test_looking_through_ten_thousand_footers_keeps_none_of_them(whole, metadata):
    """Arrow keeps an exception that a Python file raises, and its traceback the footer."""
    before = sys.getrefcount(metadata)
    for _ in range(20):
        look_through(metadata, len(whole), *ALL)
    gc.collect()
    assert sys.getrefcount(metadata) == before


def test_no_thread_of_arrow_holds_the_file_after_the_check(whole, metadata):
    """At the end of the process the thread would be stopped, and the process would abort."""
    made = []

    class Recorded(EmptyFile):
        def __init__(self, nbytes):
            super().__init__(nbytes)
            made.append(weakref.ref(self))

    for _ in range(500):
        look_through(metadata, len(whole), *ALL, empty_file=Recorded)
        assert made.pop()() is None


def test_chunk_beyond_the_end_of_the_file_is_found_before_a_page_is_asked_for(whole, metadata):
    look_through(metadata, len(whole), *ALL)
    with pytest.raises((OSError, pa.ArrowException)):
        look_through(metadata, len(whole) // 3, *ALL)


def test_contradictions_of_all_columns_are_found_and_of_read_columns_refused(whole):
    assert found_in(whole) == []
    found = found_in(whole, len(whole) // 3)
    assert {one.column for one in found} == {"a", "b", "c", "level", "y"}
    check_claims(found, [], "a.parquet")
    with pytest.raises(BadPartition, match=r"row group \d.*column 'a'.*places pages at"):
        check_claims(found, ["a"], "a.parquet")


METADATA_OF_B = (ROW_GROUPS, "2", COLUMNS, "1", META_DATA)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (((*METADATA_OF_B, 1), "set", (I32, 2)), "schema has DOUBLE values, .* promises INT64"),
        (((*METADATA_OF_B, 1), "set", (I32, 99)), "schema has DOUBLE values, .* promises none"),
        (((*METADATA_OF_B, 5), "set", (I64, 21)), "promises 20 rows, but 21 values"),
        (((*METADATA_OF_B, 7), "set", (I64, 2**63 - 1)), "places pages at"),
        (
            (
                (*METADATA_OF_B, STATISTICS),
                "set",
                (STRUCT, {5: (BINARY, bytes(8)), 6: (BINARY, b"1")}),
            ),
            "have a value of 1 bytes, but values of type DOUBLE have 8",
        ),
        (((*METADATA_OF_B, 11), "set", (I64, -5)), "places pages at -5"),
        (
            ((*METADATA_OF_B, 16), "set", (STRUCT, {3: (LIST, (I64, [1] * 9))})),
            "cannot read the metadata: .*histogram",
        ),
    ],
)
def test_claim_that_contradicts_names_row_group_and_column_and_spares_the_others(
    whole, edit, reason
):
    found = found_in(with_edit(whole, edit))
    assert [(one.row_group, one.column) for one in found] == [(2, "b")]
    check_claims(found, ["a", "c", "level", "y"], "a.parquet")
    with pytest.raises(BadPartition, match=rf"a.parquet, row group 2, column 'b': .*{reason}"):
        check_claims(found, ["b"], "a.parquet")


def test_contradiction_inside_a_nested_column_is_one_of_that_column():
    sink = io.BytesIO()
    pq.write_table(pa.table({"p": [{"x": 1.0, "y": 2.0}], "z": [1.0]}), sink)
    place = (ROW_GROUPS, "0", COLUMNS, "1", META_DATA, 1)
    found = found_in(with_edit(sink.getvalue(), (place, "set", (I32, 0))))
    assert [one.column for one in found] == ["p.y"]
    check_claims(found, ["z"], "a.parquet")
    with pytest.raises(BadPartition, match=r"column 'p.y'"):
        check_claims(found, ["p"], "a.parquet")


@pytest.mark.parametrize(
    "bounds",
    [
        {5: (BINARY, bytes(8)), 6: (BINARY, bytes(9))},
        {5: (BINARY, b"")},
        {6: (BINARY, b"")},
        {1: (BINARY, b""), 2: (BINARY, b"")},
    ],
)
def test_statistics_with_which_pyarrow_reads_the_pages_are_no_contradiction(whole, bounds):
    edited = with_edit(whole, ((*METADATA_OF_B, STATISTICS), "set", (STRUCT, bounds)))
    assert found_in(edited) == []
    read = pq.ParquetFile(pa.BufferReader(edited)).read_row_group(2, columns=["b"])
    assert read.equals(pq.ParquetFile(pa.BufferReader(whole)).read_row_group(2, columns=["b"]))
