"""Keep what was computed from recent dictionaries, because many batches share one.

The batches of a row group share one dictionary of up to a megabyte, or each has a copy of it.
Comparing two dictionaries is cheaper than hashing one or reading its texts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import pyarrow as pa

_T = TypeVar("_T")

MOST_KEPT = 4
"""Dictionaries of a column whose results are kept, for the row groups that are read in turn."""


class Kept(Generic[_T]):
    """Results for the most recent dictionaries; threads may share it."""

    def __init__(self) -> None:
        self._kept: deque[tuple[pa.Array, _T]] = deque(maxlen=MOST_KEPT)

    def get(self, distinct: pa.Array, make: Callable[[pa.Array], _T]) -> _T:
        """Return the result for a dictionary; `make` computes it if the dictionary is new."""
        for one, result in tuple(self._kept):
            if _is_same(one, distinct) or one.equals(distinct):
                return result
        result = make(distinct)
        self._kept.append((distinct, result))
        return result


def _is_same(one: pa.Array, other: pa.Array) -> bool:
    """Whether two arrays lie in the same memory, and hence are equal.

    Both arrays are alive, so Arrow cannot have reused the memory of one for the other.
    """
    if (len(one), one.offset, one.type) != (len(other), other.offset, other.type):
        return False
    places = [[b and b.address for b in array.buffers()] for array in (one, other)]
    return bool(places[0] == places[1])
