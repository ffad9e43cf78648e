"""Footer checks: every chunk is checked, contradictions are found, and no memory is kept."""

from __future__ import annotations

import gc
import io
import sys
import weakref

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass.errors import BadPartition
from onepass.lake.footer_checks import EmptyFile, check_claims, contradictions, look_through


@pytest.fixture
def written():
    """A footer and the size of its file."""
    sink = io.BytesIO()
    pq.write_table(number_table(60, seed=1), sink, row_group_size=20)
    return pq.read_metadata(pa.BufferReader(sink.getvalue())), len(sink.getvalue())


def test_looking_through_ten_thousand_footers_keeps_none_of_them(written):
    """Arrow keeps an exception that a Python file raises, and its traceback the footer."""
    metadata, nbytes = written
    before = sys.getrefcount(metadata)
    for _ in range(20):
        look_through(metadata, nbytes)
    gc.collect()
    assert sys.getrefcount(metadata) == before


def test_no_thread_of_arrow_holds_the_file_after_the_check(written):
    """At the end of the process the thread would be stopped, and the process would abort."""
    made = []

    class Recorded(EmptyFile):
        def __init__(self, nbytes):
            super().__init__(nbytes)
            made.append(weakref.ref(self))

    for _ in range(500):
        look_through(*written, empty_file=Recorded)
        assert made.pop()() is None


def test_chunk_beyond_the_end_of_the_file_is_found_before_a_page_is_asked_for(written):
    metadata, nbytes = written
    look_through(metadata, nbytes)
    with pytest.raises((OSError, pa.ArrowException)):
        look_through(metadata, nbytes // 3)


def test_contradictions_of_all_columns_are_found_and_of_read_columns_refused(written):
    metadata, nbytes = written
    assert contradictions(metadata, nbytes) == []
    found = contradictions(metadata, nbytes // 3)
    assert {one.column for one in found} == set(metadata.schema.names)
    name = metadata.schema.names[0]
    check_claims(found, [], "a.parquet")
    with pytest.raises(BadPartition, match=rf"row group \d.*column '{name}'.*places pages at"):
        check_claims(found, [name], "a.parquet")
