"""Metrics of rows in order, kept by stretches, so that the latest rows can be told from the first.

The first rows are predicted by a model that knows little. Beside a metric of all rows, that of the
last tenth says how good the model has become.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onepass.block import FloatArray
from onepass.learn.metrics.base import Metrics

SHARE = 10
"""The last rows are one of this many parts."""

LEAST_ROWS = 256
"""Fewest rows that count as the last ones; a metric of fewer is mostly chance."""

_MOST = 24
"""Most stretches, which bounds the memory and the error of where the last rows begin."""


class Stretches:
    """Accumulators of consecutive stretches of rows.

    Parameters
    ----------
    make
        Makes an empty accumulator.
    whole
        Accumulators of the first stretches, if there are any.
    """

    def __init__(self, make: Callable[[], Metrics], whole: Sequence[Metrics] = ()) -> None:
        self._make = make
        self._parts = [part for part in whole if part.n_rows]

    @property
    def n_rows(self) -> int:
        """Number of rows in all stretches."""
        return sum(part.n_rows for part in self._parts)

    def parts(self) -> tuple[Metrics, ...]:
        """Return the accumulators of the stretches, in their order."""
        return tuple(self._parts)

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows; see `Metrics.add`.

        A stretch is a tenth of the rows so far at most, and ends where the rows end. So the last
        tenth of a single block begins at the edge of a stretch. Later blocks of many are one
        stretch each.
        """
        n_new = len(label)
        size = max(LEAST_ROWS, -(-(self.n_rows + n_new) // SHARE))
        first = 0
        while first < n_new:
            last = n_new - (n_new - first - 1) // size * size
            part = self._make()
            part.add(prediction[first:last], label[first:last], weight[first:last])
            self._parts.append(part)
            first = last
        self._join_smallest()

    def extend(self, later: Stretches) -> None:
        """Take over the stretches of later rows; `later` must not be used any more."""
        self._parts += later._parts
        # The last rows begin later and later, so what is before them now can be joined for good.
        joined = self._parts[: self._first_of_last()]
        self._parts = [*([_merged(joined)] if joined else []), *self._parts[len(joined) :]]
        self._join_smallest()

    def whole(self) -> Metrics:
        """Return the metrics of all rows."""
        return self._merged_from(0)

    def last(self) -> Metrics | None:
        """Return the metrics of the last tenth, rounded up to whole stretches.

        None if these stretches are most of the rows, as they then say nothing more than `whole`.
        """
        found = self._merged_from(self._first_of_last())
        return found if 0 < found.n_rows <= self.n_rows // 2 else None

    def _merged_from(self, first: int) -> Metrics:
        found = self._make()
        for part in self._parts[first:]:
            found.merge(part)
        return found

    def _first_of_last(self) -> int:
        """Return the place of the first stretch of the last tenth."""
        needed, have = max(LEAST_ROWS, -(-self.n_rows // SHARE)), 0
        for place in reversed(range(len(self._parts))):
            have += self._parts[place].n_rows
            if have >= needed:
                return place
        return 0

    def _join_smallest(self) -> None:
        """Join neighbours with the fewest rows until few stretches are left."""
        while len(self._parts) > _MOST:
            rows = [part.n_rows for part in self._parts]
            place = int(np.argmin(np.add(rows[:-1], rows[1:])))
            self._parts[place].merge(self._parts.pop(place + 1))


def _merged(parts: Sequence[Metrics]) -> Metrics:
    """Add the rows of all accumulators to the first one, and return it."""
    for part in parts[1:]:
        parts[0].merge(part)
    return parts[0]
