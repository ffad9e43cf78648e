"""Encode numbers, truth values and times, and write columns of one Arrow type by one call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from onepass.encode.columns import plain
from onepass.encode.missing import missing_numbers, without_numbers
from onepass.encode.schema import Bool, Numeric, Time, family
from onepass.encode.tails import curbed
from onepass.encode.text_values import numbers_in_text
from onepass.encode.texts import is_text
from onepass.encode.times import moments, span_seconds, time_features
from onepass.encode.write.sink import PLAIN_TYPES, Scaled, Sink

KindsOfCount: TypeAlias = tuple[str, str]
"""Kinds under which unusable values and nulls of a feature count; "" where they do not count."""


UNREADABLE = "unreadable_text"
"""Kind under which texts count that hold no number or no time, and are imputed."""


def kinds_of_count(column: Numeric) -> KindsOfCount:
    """Return the kinds under which unusable values and nulls of a number count."""
    return "non_finite", _kind_of_null(missing=column.missing)


@dataclass(frozen=True, slots=True)
class _Feature:
    """Values of one feature before they are scaled; see `onepass.encode.write.sink.Scaled`."""

    values: pa.Array
    center: float
    scale: float
    number: int
    has_mark: bool
    kinds: KindsOfCount


class Numbers:
    """Gathers the features of columns, and writes those of one Arrow type by one call."""

    def __init__(self) -> None:
        self._features: list[_Feature] = []
        self._clipped = 0

    def add(self, column: Numeric | Bool | Time, values: pa.Array, first: int) -> None:
        """Add the features of a column, the first of which has number `first`."""
        match column:
            case Numeric():
                center, scale, missing = column.center, column.scale, column.missing
                if is_text(values):
                    numbers = numbers_in_text(
                        values, column.missing_texts, column.name, column.decimal_mark
                    )
                    kinds = UNREADABLE, _kind_of_null(missing=missing)
                else:
                    numbers, kinds = _typed(column, values), kinds_of_count(column)
                # float16 and decimals.
                if numbers.type not in PLAIN_TYPES:
                    numbers = numbers.cast(pa.float64(), safe=False)
                if column.is_curbed:
                    numbers, n_clipped = curbed(numbers, column)
                    self._clipped += n_clipped
                self._features.append(_Feature(numbers, center, scale, first, missing, kinds))
            case Bool():
                bits = plain(values).cast(pa.uint8())
                kinds = "", _kind_of_null(missing=column.missing)
                self._features.append(_Feature(bits, 0.0, 1.0, first, column.missing, kinds))
            case Time():
                self._features += _time_features(column, values, first)

    def write(self, sink: Sink, start: int) -> list[tuple[str, int]]:
        """Write all features, and return the values that count.

        Parameters
        ----------
        start
            Number of the first row.

        Returns
        -------
        Pairs of a kind of value, such as ``non_finite``, and the number of its values. The kind is
        "" where the values do not count.
        """
        noticed: list[tuple[int, int]] = [(0, 0)] * len(self._features)
        for dtype in dict.fromkeys(one.values.type for one in self._features):
            chosen = [i for i, one in enumerate(self._features) if one.values.type == dtype]
            features = [self._features[i] for i in chosen]
            arrays = [one.values for one in features]
            unusable, nulls = sink.numbers(arrays, _scaled(features), start)
            for i, *found in zip(chosen, unusable, nulls, strict=True):
                noticed[i] = (int(found[0]), int(found[1]))
        return [("clipped", self._clipped)] + [
            pair
            for one, counts in zip(self._features, noticed, strict=True)
            for pair in zip(one.kinds, counts, strict=True)
        ]


def _typed(column: Numeric, values: pa.Array) -> pa.Array:
    """Return numbers, or durations in seconds, as an array of numbers without a dictionary."""
    if column.duration and family(values.type) != "null":
        seconds = span_seconds(values)
        values = pa.array(seconds, mask=np.isnan(seconds))
    return without_numbers(plain(values), missing_numbers(tuple(column.missing_texts)))


def _scaled(features: list[_Feature]) -> Scaled:
    return Scaled(
        np.array([one.center for one in features], np.float64),
        np.array([1.0 / one.scale for one in features], np.float64),
        np.array([one.number for one in features], np.int64),
        np.array([one.has_mark for one in features], np.bool_),
    )


def _time_features(column: Time, values: pa.Array, first: int) -> Iterator[_Feature]:
    found = moments(column, values)
    null, is_null = np.isnan(found.seconds), found.is_null
    seconds = np.where(null, column.center, found.seconds)
    features = time_features(column, seconds, has_zone=found.has_zone)
    last = len(features) - 1
    for i, feature in enumerate(features):
        # All features of a row are null together, so only the last one counts and marks nulls.
        is_last = i == last
        # An unreadable text is NaN, which counts apart from null.
        imputed = np.nan if is_last else 0.0
        yield _Feature(
            pa.array(np.where(null, imputed, feature), mask=is_null if is_last else None),
            0.0,
            1.0,
            first + i,
            column.missing and is_last,
            (UNREADABLE, _kind_of_null(missing=column.missing)) if is_last else ("", ""),
        )


def _kind_of_null(*, missing: bool) -> str:
    return "" if missing else "unexpected_null"
