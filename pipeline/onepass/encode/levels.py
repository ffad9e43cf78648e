"""Encode a category as a 0/1 feature for each level but the first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.encode.columns import as_text
from onepass.encode.schema import OneHot
from onepass.encode.write.sink import Sink


def write_levels(
    sink: Sink, column: OneHot, values: pa.Array, first: int, width: int, start: int
) -> list[tuple[str, int]]:
    """Write the features of a category; each distinct value is looked up once.

    Parameters
    ----------
    first, width
        Number of the column's first feature, and number of its features.
    start
        Number of the first row.

    Returns
    -------
    Pairs of a kind of value, ``unknown_level`` or ``unexpected_null``, and the number of its rows.
    The kind is "" where nulls are expected.
    """
    if not pa.types.is_dictionary(values.type):
        values = pc.dictionary_encode(values)
    distinct = as_text(values.dictionary).cast(pa.string())
    # Features in order: all levels but level 0, which is the reference (-1); null, if it has a
    # feature; unknown values.
    level = pc.index_in(distinct, value_set=pa.array(column.levels, pa.string()))
    feature_of = pc.fill_null(pc.subtract(level, 1), width - 1)
    null = width - 2 if column.missing else -1
    feature_of = pc.if_else(distinct.is_null(), null, feature_of).to_numpy(zero_copy_only=False)
    # One code more than there are distinct values stands for null.
    feature_of = np.append(feature_of, null).astype(np.int64)
    codes = pc.fill_null(values.indices.cast(pa.int32()), len(distinct)).to_numpy()
    sink.levels(codes, feature_of, first, width, start)
    n_rows_of = np.bincount(codes, minlength=len(feature_of))
    is_null = np.append(distinct.is_null().to_numpy(zero_copy_only=False), True)
    return [
        ("unknown_level", int(n_rows_of[(feature_of == width - 1) & ~is_null].sum())),
        ("" if column.missing else "unexpected_null", int(n_rows_of[is_null].sum())),
    ]
