"""Arrays whose memory stays."""

import numpy as np
import pyarrow as pa

from onepass.arrays import empty, filled


def test_arrays_are_ones_memory_to_write_to_in_the_shape_asked_for():
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
