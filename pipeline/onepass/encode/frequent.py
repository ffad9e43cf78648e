"""Keep the most frequent values of each hashed column, in bounded memory.

A value cannot be computed from its hash. To name the weights of hashed columns, the encoder counts
the commonest values of each batch, and a sketch keeps those with the highest counts.
Values that are frequent enough to shape the weight of a slot are in the sketch; rare ones are not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.block import IntArray
from onepass.encode.columns import as_text, plain

PER_BATCH = 64
"""Maximum number of values of a column that are counted in one batch."""

KEPT = 500
"""Number of values of a column that the sketch keeps when it is pruned."""

LOOKED_AT = 256
"""Approximate number of rows that represent a long batch."""

LONG = 8192
"""Number of rows above which a batch is long, and some of its rows represent all."""

NOTED_EVERY = 4
"""A hashed column is counted in one long batch out of this number; the columns take turns."""

_LONGEST = 200
"""Maximum number of characters of a value that is counted; nobody would read a longer name."""


def looked_at(n_rows: int) -> IntArray:
    """Return the rows of a batch whose values are counted; see `commonest`."""
    step = rows_each(n_rows)
    return np.arange(step // 2, n_rows, step)


def commonest(values: pa.Array, times: int = 1, *, step: int | None = None) -> dict[str, int]:
    """Return the commonest values of a column of text or integers, with their numbers of rows.

    A long batch is represented by evenly spaced rows, because counting all rows would cost as much
    as reading them. The numbers are then estimates, and values that occur once among these rows
    are left out.

    Parameters
    ----------
    times
        Number of rows that each value stands for.
    step
        If set, the values are those of every so many rows, the rows `looked_at`.
    """
    is_taken = step is not None
    step = rows_each(len(values)) if step is None else step
    is_coded = pa.types.is_dictionary(values.type)
    few = values.indices if is_coded else values
    if step > 1 and not is_taken:
        few = few.take(pa.array(looked_at(len(values))))
    # Encoding again sorts the values by their first row, which decides between equal counts. The
    # order of the file's own dictionary must not matter.
    found = pc.dictionary_encode(plain(few).drop_null())
    rows = np.bincount(found.indices.to_numpy(), minlength=len(found.dictionary))
    most = np.argsort(-rows, kind="stable")[:PER_BATCH]
    if step > 1:
        most = most[rows[most] > 1]
    named = found.dictionary.take(pa.array(most))
    names = as_text(values.dictionary.take(named) if is_coded else named).to_pylist()
    return {
        name: n * times * step
        for name, n in zip(names, rows[most].tolist(), strict=True)
        if name is not None and len(name) <= _LONGEST
    }


def rows_each(n_rows: int) -> int:
    """Return how many rows of a batch each row that is looked at stands for."""
    return n_rows // LOOKED_AT if n_rows > LONG else 1


@dataclass(frozen=True, slots=True)
class FrequentDifference:
    """The values that one share of rows has counted."""

    counts: Mapping[str, Mapping[str, int]]
    """By column."""

    def then(self, later: FrequentDifference) -> FrequentDifference:
        """Return the sums of both."""
        sums = {name: Counter(mine) for name, mine in self.counts.items()}
        for name, mine in later.counts.items():
            sums[name].update(mine)
        return FrequentDifference({name: dict(mine) for name, mine in sums.items()})


class Frequent:
    """Counts of frequent values by column, of at most twice `KEPT` values of each.

    A count is a lower bound, apart from the estimates of long batches: it leaves out the batches
    in which the value was not among the commonest, and starts anew if the value was dropped.
    """

    def __init__(self, columns: Iterable[str]) -> None:
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in columns}

    def add(self, batch: Mapping[str, Mapping[str, int]]) -> None:
        """Add the commonest values of a batch."""
        for name, counts in batch.items():
            mine = self._counts[name]
            mine.update(counts)
            if len(mine) > 2 * KEPT:
                self._counts[name] = Counter(dict(_ordered(mine)[:KEPT]))

    def hold(self) -> None:
        """Count from zero, to add the counts of a share of a round to those of others later."""
        self._counts = {name: Counter() for name in self._counts}

    def difference(self) -> FrequentDifference:
        """Return the values counted since `hold`."""
        return FrequentDifference({name: dict(mine) for name, mine in self._counts.items()})

    def values(self, column: str) -> list[tuple[str, int]]:
        """Return the values of a column with their counts, the most frequent first."""
        return _ordered(self._counts[column])

    def dump(self) -> NDArray[np.uint8]:
        """Return all counts as bytes; equal counts give equal bytes."""
        text = json.dumps({name: _ordered(mine) for name, mine in self._counts.items()})
        return np.frombuffer(text.encode(), np.uint8).copy()

    def load(self, data: NDArray[np.uint8]) -> None:
        """Replace all counts by those that `dump` returned.

        Raises
        ------
        ValueError
            If the bytes are not a dump, or one of other columns.
        """
        try:
            found = json.loads(bytes(data))
            counts = {
                name: Counter({str(value): int(n) for value, n in found[name]}) for name in found
            }
        except (TypeError, RecursionError, OverflowError) as error:
            raise ValueError(f"expected values with their counts: {error}") from None
        if set(counts) != set(self._counts):
            raise ValueError(f"expected values of {sorted(self._counts)}, found something else")
        self._counts = {name: counts[name] for name in self._counts}


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
