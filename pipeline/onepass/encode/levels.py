"""Encode a category as a 0/1 feature for each level but the first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.encode.columns import as_text
from onepass.encode.crosses import bin_codes
from onepass.encode.level_values import level_values
from onepass.encode.numbers import read_number
from onepass.encode.scalar_kinds import OneHot
from onepass.encode.shapes import Bins
from onepass.encode.write.sink import Sink


def write_category(
    sink: Sink, column: OneHot | Bins, values: pa.Array, first: int, width: int, start: int
) -> list[tuple[str, int]]:
    """Write the features of a category, or of a number that is cut into bins.

    Parameters
    ----------
    first, width
        Number of the column's first feature, and number of its features.
    start
        Number of the first row.

    Returns
    -------
    Pairs of a kind of value, such as ``unknown_level`` or ``unexpected_null``, and the number of
    its rows. The kind is "" where nulls are expected.
    """
    if isinstance(column, Bins):
        return _write_bins(sink, column, values, first, width, start)
    return _write_levels(sink, column, level_values(column, values), first, width, start)


def _write_bins(
    sink: Sink, column: Bins, values: pa.Array, first: int, width: int, start: int
) -> list[tuple[str, int]]:
    read = read_number(column.number, values)
    numbers, codes = read.numbers, bin_codes(column, read.numbers)
    n_bins = len(column.edges) + 1
    null = width - 1 if column.missing else -1
    sink.levels(codes, np.append(np.arange(-1, n_bins - 1), null), first, width, start)
    nulls = read.values.null_count
    unusable = int(np.isnan(numbers).sum()) - nulls
    return [*zip(read.kinds, (unusable, nulls), strict=True), ("clipped", read.n_clipped)]


def _write_levels(
    sink: Sink, column: OneHot, values: pa.Array, first: int, width: int, start: int
) -> list[tuple[str, int]]:
    """Write the features of a category; each distinct value is looked up once."""
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
