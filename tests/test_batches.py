"""Rows in one batch."""

import pyarrow as pa

from onepass.batches import as_batch


def test_rows_in_chunks_become_one_batch_of_the_same_rows():
    one = pa.table({"a": [1, 2], "text": pa.array(["x", None]).dictionary_encode()})
    other = pa.table({"a": [3], "text": pa.array(["y"]).dictionary_encode()})
    batch = as_batch(pa.concat_tables([one, other]))
    assert batch.to_pydict() == {"a": [1, 2, 3], "text": ["x", None, "y"]}
    assert batch.schema.names == ["a", "text"]


def test_rows_that_lie_together_are_not_copied():
    table = pa.table({"a": [1, 2]})
    batch = as_batch(table)
    assert batch.column("a").buffers()[1].address == table["a"].chunk(0).buffers()[1].address
    assert as_batch(batch) is batch


def test_no_rows_are_a_batch_without_rows():
    assert as_batch(pa.schema([("a", pa.int64())]).empty_table()).num_rows == 0
