"""Find columns that number the rows of their files, or the files."""

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

_LEAST_RECURRING = 0.8
"""Share of the rows whose value another file has as well, from which values recur."""

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


def counts_up(values: FloatArray, rows: Rows | None) -> bool:
    """Whether whole numbers rise by one from row to row, in each file or through all files.

    Parameters
    ----------
    values
        Whole numbers of the sampled rows, NaN where null.
    rows
        Places of the rows; the answer is no if they are not known.
    """
    if rows is None or len(values) < _FEWEST_ROWS or not np.isfinite(values).all():
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


def recurs(values: FloatArray, rows: Rows | None) -> bool:
    """Whether most values of a column are in several files, so that further files have them, too.

    Each file of a week or a batch has a value of its own, and further files will have others. Of a
    single file, or of files that are not known, the answer is yes.
    """
    if rows is None or (rows.file == rows.file[0]).all():
        return True
    present = np.isfinite(values)
    _, code = np.unique(values[present], return_inverse=True)
    pairs = np.unique(np.column_stack([code, rows.file[present]]), axis=0)
    n_files = np.bincount(pairs[:, 0])
    return bool(np.mean(n_files[code] > 1) >= _LEAST_RECURRING)
