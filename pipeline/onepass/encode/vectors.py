"""Encode lists of numbers of one length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from onepass.encode.columns import floats, plain
from onepass.encode.lists import Lists, lists_of
from onepass.encode.missing import missing_numbers, without_numbers
from onepass.encode.nested_kinds import Vector
from onepass.encode.write.matrices import Vectors
from onepass.encode.write.sink import PLAIN_TYPES, Sink
from onepass.errors import BadColumn


def write_vector(
    sink: Sink, column: Vector, values: pa.Array, first: int, start: int
) -> list[tuple[str, int]]:
    """Write the features of a column of lists.

    Parameters
    ----------
    first
        Number of the column's first feature.
    start
        Number of the first row.

    Returns
    -------
    Pairs of a kind of element or list, and their number. The kind is "" where they do not count.

    Raises
    ------
    BadColumn
        If a list has another length than those of the sample.
    """
    lists = lists_of(values)
    _check_length(lists, column)
    elements = known_numbers(lists.of(values.values), column.missing_texts)
    valid = np.zeros(0, np.bool_)
    if elements.null_count:
        valid = elements.is_valid().to_numpy(zero_copy_only=False)
    vectors = Vectors(
        element_numbers(elements),
        valid,
        np.where(lists.is_null, -1, lists.begin),
        np.array(column.center),
        1.0 / np.array(column.scale),
        column.missing,
    )
    unusable, nulls = sink.vectors(vectors, first, start)
    return [
        ("non_finite", unusable),
        ("null_element", nulls),
        ("" if column.missing else "unexpected_null", int(lists.is_null.sum())),
    ]


def _check_length(lists: Lists, column: Vector) -> None:
    wrong = np.flatnonzero((lists.length != column.length) & ~lists.is_null)
    if len(wrong):
        raise BadColumn(
            f"expected lists of {column.length} numbers, found {lists.length[wrong[0]]} in one row"
            f" (other lengths in {len(wrong):,} of {len(lists.length):,} rows)",
            column.name,
            "Repair the file, or skip it (--on-bad skip).",
        )


def known_numbers(elements: pa.Array, missing: Sequence[str]) -> pa.Array:
    """Return numbers with null in place of those that are among the words for a missing value."""
    numbers = missing_numbers(tuple(missing))
    return without_numbers(plain(elements), numbers) if len(numbers) else elements


def element_numbers(elements: pa.Array) -> np.ndarray:
    """Return numbers where they lie in memory; null is any number."""
    if elements.type not in PLAIN_TYPES or not len(elements):
        # float16, decimals, and lists that are all null.
        return floats(elements)
    kind = np.dtype(elements.type.to_pandas_dtype())
    data = np.frombuffer(elements.buffers()[1], kind)
    return data[elements.offset : elements.offset + len(elements)]
