"""Arrays from Arrow's pool, and tables joined to one batch."""

import numpy as np
import pyarrow as pa

from onepass.arrays import as_batch, empty, filled


def test_arrays_are_writable_and_free_their_memory():
    before = pa.total_allocated_bytes()
    found = empty((3, 5), np.float32)
    assert found.shape == (3, 5)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert pa.total_allocated_bytes() > before
    found[...] = 2.0
    assert found.sum() == 30.0
    del found
    assert pa.total_allocated_bytes() == before


def test_no_rows_and_no_columns_have_arrays_too():
    assert empty((0, 5), np.int32).shape == (0, 5)
    assert empty((5, 0), np.int32).shape == (5, 0)
    assert filled(3, np.nan).shape == (3,)
    assert np.isnan(filled(3, np.nan)).all()


def test_rows_in_chunks_become_one_batch_of_the_same_rows():
    one = pa.table({"a": [1, 2], "text": pa.array(["x", None]).dictionary_encode()})
    other = pa.table({"a": [3], "text": pa.array(["y"]).dictionary_encode()})
    batch = as_batch(pa.concat_tables([one, other]))
    assert batch.to_pydict() == {"a": [1, 2, 3], "text": ["x", None, "y"]}
    assert batch.schema.names == ["a", "text"]


def test_columns_of_one_chunk_are_not_copied():
    table = pa.table({"a": [1, 2]})
    batch = as_batch(table)
    assert batch.column("a").buffers()[1].address == table["a"].chunk(0).buffers()[1].address
    assert as_batch(batch) is batch


def test_no_rows_are_a_batch_without_rows():
    assert as_batch(pa.schema([("a", pa.int64())]).empty_table()).num_rows == 0
