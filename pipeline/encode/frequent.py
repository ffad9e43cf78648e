"""The most frequent values of each hashed column, in bounded memory.

Hashing forgets what the values were. To name the weights of a model again, the encoder notes the
commonest values of each batch, and a sketch keeps those that come up most: what fills a slot with
weight is in there, what is rare is not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

PER_BATCH = 64
"""Values of a column that are noted of one batch."""

KEPT = 500
"""Values of a column that are kept."""

_LONGEST = 200
"""Longer values, in characters, are no names that anybody would read."""


def commonest(values: pa.Array, times: int = 1) -> dict[str, int]:
    """The commonest values of a dictionary-encoded text column, with their number of rows.

    Parameters
    ----------
    times
        Rows that each value stands for.
    """
    codes = values.indices.drop_null().to_numpy()
    counts = np.bincount(codes, minlength=len(values.dictionary))
    places = np.argsort(-counts, kind="stable")[:PER_BATCH]
    names = values.dictionary.take(pa.array(places)).to_pylist()
    return {
        name: int(n) * times
        for name, n in zip(names, counts[places], strict=True)
        if n and name is not None and len(name) <= _LONGEST
    }


class Frequent:
    """Counts of frequent values by column, at most twice `KEPT` of each.

    Counts are lower bounds: a value is not counted where it was not among the commonest of its
    batch, and starts anew when it comes back after being dropped.
    """

    def __init__(self, columns: Iterable[str]) -> None:
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in columns}

    def add(self, batch: Mapping[str, Mapping[str, int]]) -> None:
        """Take the commonest values of a batch into account."""
        for name, counts in batch.items():
            mine = self._counts[name]
            mine.update(counts)
            if len(mine) > 2 * KEPT:
                self._counts[name] = Counter(dict(_ordered(mine)[:KEPT]))

    def values(self, column: str) -> list[tuple[str, int]]:
        """Values of a column with their counts, the most frequent first."""
        return _ordered(self._counts[column])

    def dump(self) -> NDArray[np.uint8]:
        """All counts as bytes; the same for the same counts."""
        text = json.dumps({name: _ordered(mine) for name, mine in self._counts.items()})
        return np.frombuffer(text.encode(), np.uint8).copy()

    def load(self, data: NDArray[np.uint8]) -> None:
        """Take over what `dump` gave.

        Raises
        ------
        ValueError
            If it is not that.
        """
        found = json.loads(bytes(data))
        if not isinstance(found, dict) or set(found) != set(self._counts):
            raise ValueError(f"expected values of {sorted(self._counts)}, found something else")
        self._counts = {
            name: Counter({str(value): int(n) for value, n in found[name]}) for name in self._counts
        }


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
