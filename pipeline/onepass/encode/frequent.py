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
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.encode.columns import as_text, plain

PER_BATCH = 64
"""Values of a column that are noted of one batch."""

KEPT = 500
"""Values of a column that are kept."""

_LOOKED_AT = 256
"""Rows of a long batch that are looked at, about."""

LONG = 8192
"""Rows of a batch, beyond which a part stands for all."""

NOTED_EVERY = 4
"""Of the hashed columns of long batches one in so many is looked at, in turn."""

_LONGEST = 200
"""Longer values, in characters, are no names that anybody would read."""


def commonest(values: pa.Array, times: int = 1) -> dict[str, int]:
    """The commonest values of a column of text or integers, with their number of rows.

    Of a long batch a part of the rows is looked at, evenly spaced, and the number is an estimate of
    those that came up twice: counting all costs as much as reading them.

    Parameters
    ----------
    times
        Rows that each value stands for.
    """
    step = len(values) // _LOOKED_AT if len(values) > LONG else 1
    is_coded = pa.types.is_dictionary(values.type)
    looked_at = values.indices if is_coded else values
    if step > 1:
        looked_at = looked_at.take(pa.array(np.arange(step // 2, len(values), step)))
    # In the order in which they first come up, whatever the codes: it decides between equals.
    found = pc.dictionary_encode(plain(looked_at).drop_null())
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


class Frequent:
    """Counts of frequent values by column, at most twice `KEPT` of each.

    A value is not counted where it was not among the commonest of its batch, and starts anew when
    it comes back after being dropped. Counts of long batches are estimates from a part of them.
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
