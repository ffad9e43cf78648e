"""The fold of a row in cross-validation, by the value of a column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from onepass.block import IntArray
from onepass.encode.roles import row_clusters
from onepass.errors import BadColumn

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def row_folds(values: pa.Array, name: str, n_folds: int) -> IntArray:
    """Return the number of the fold of each row, from 0, shape (len(values),).

    Rows of equal values are in one fold, in every file.

    Raises
    ------
    BadColumn
        If the column is neither text, an integer nor a bool, or a value is null.
    """
    if values.null_count:
        n = f"{values.null_count} of {len(values)}"
        raise BadColumn(f"{n} rows have no value, by which --fold-by gives them a fold", name)
    x = row_clusters(values, name).view(np.uint64)
    # The end of SplitMix64, so that folds do not go by the lowest bits of the hash.
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return np.asarray((x ^ (x >> np.uint64(31))) % np.uint64(n_folds), np.int64)
