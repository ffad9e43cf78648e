"""Find columns that number the rows of their files."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray, IntArray

_NAME = re.compile(
    r"^(row_?names?|row_?(id|num|number|nr|no|index)|unnamed: \d+|__index_level_\d+__)$",
    re.IGNORECASE,
)
"""Names that R, pandas and their users give to the numbers of rows."""

_FEWEST_ROWS = 100
"""Number of rows below which a column may count up by chance or on purpose."""

_LEAST_SPAN = 0.25
"""Least distance of the last number from the first, per row between them.

Only the beginning of a very large row group is sampled, so the end of the numbers may be unseen.
"""


@dataclass(frozen=True, slots=True)
class Rows:
    """The places of the rows of a sample, in stored order."""

    file: IntArray
    """Number of the file of each row."""
    rows_of_file: IntArray
    """Number of rows of each file."""


def is_named_row_number(name: str) -> bool:
    """Whether a column of whole numbers is named like one that numbers the rows."""
    return bool(_NAME.match(name.strip()))


def counts_up(values: FloatArray, rows: Rows) -> bool:
    """Whether whole numbers rise by one from row to row, in each file or through all files.

    Parameters
    ----------
    values
        Whole numbers of the sampled rows, NaN where null.
    """
    if len(values) < _FEWEST_ROWS or not np.isfinite(values).all():
        return False
    same_file = np.diff(rows.file) == 0
    if not same_file.any() or (values[1:] <= values[:-1])[same_file].any():
        return False
    first = np.flatnonzero(np.append(True, ~same_file))
    last = np.append(first[1:], len(values)) - 1
    n_rows = rows.rows_of_file[rows.file[first]]
    # Halves, because the distance of extreme numbers would overflow.
    span = values[last] / 2 - values[first] / 2
    if (span >= n_rows / 2).any():
        return False
    return bool(span.sum() >= _LEAST_SPAN * (n_rows - 1).sum() / 2)
