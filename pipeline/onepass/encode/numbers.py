"""Encode numbers, truth values and times, and write columns of one Arrow type by one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.encode.columns import floats, plain
from onepass.encode.missing import missing_numbers, without_numbers
from onepass.encode.scalar_kinds import Bool, Numeric, Time
from onepass.encode.schema import family
from onepass.encode.shapes import Product, Spline
from onepass.encode.splines import spline_features
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
class ReadNumber:
    """The values of a column of numbers, clipped or as logarithms if the column says so."""

    values: pa.Array
    """Numbers of one of the `PLAIN_TYPES`."""
    n_clipped: int
    """How many of them lay outside of the bounds."""
    kinds: KindsOfCount

    @property
    def numbers(self) -> FloatArray:
        """The values as float64, null as NaN."""
        return floats(self.values)


def read_number(column: Numeric, values: pa.Array) -> ReadNumber:
    """Read numbers of any type, or those that texts hold."""
    if is_text(values):
        numbers = numbers_in_text(values, column.missing_texts, column.name, column.decimal_mark)
        kinds = UNREADABLE, _kind_of_null(missing=column.missing)
    else:
        numbers, kinds = _typed(column, values), kinds_of_count(column)
    # float16 and decimals.
    if numbers.type not in PLAIN_TYPES:
        numbers = numbers.cast(pa.float64(), safe=False)
    return ReadNumber(*(curbed(numbers, column) if column.is_curbed else (numbers, 0)), kinds)


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

    def add(self, column: Numeric | Bool | Time | Spline, values: pa.Array, first: int) -> None:
        """Add the features of a column, the first of which has number `first`."""
        match column:
            case Numeric():
                read = read_number(column, values)
                self._clipped += read.n_clipped
                center, scale, missing = column.center, column.scale, column.missing
                self._features.append(
                    _Feature(read.values, center, scale, first, missing, read.kinds)
                )
            case Spline():
                read = read_number(column.number, values)
                self._clipped += read.n_clipped
                self._features += _curve(column, read, first)
            case Bool():
                bits = plain(values).cast(pa.uint8())
                kinds = "", _kind_of_null(missing=column.missing)
                self._features.append(_Feature(bits, 0.0, 1.0, first, column.missing, kinds))
            case Time():
                self._features += _time_features(column, values, first)

    def add_product(
        self, column: Product, values: Sequence[pa.Array], first: int, n_rows: int
    ) -> None:
        """Add the product of numbers; one that is missing makes it the mean of the sample."""
        product = np.ones(n_rows)
        for number, own in zip(column.numbers, values, strict=True):
            product *= (read_number(number, own).numbers - number.center) / number.scale
        feature = (product - column.center) / column.scale
        feature = np.where(np.isfinite(feature), feature, 0.0)
        self._features.append(_Feature(pa.array(feature), 0.0, 1.0, first, False, ("", "")))

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


def _curve(column: Spline, read: ReadNumber, first: int) -> Iterator[_Feature]:
    features = spline_features(column, read.numbers)
    for i, feature in enumerate(features):
        # All features of a row are missing together, so only the last one counts and marks it.
        is_last = i == len(features) - 1
        yield _Feature(
            pa.array(feature, mask=np.isnan(feature) & _is_null(read.values) if is_last else None),
            0.0,
            1.0,
            first + i,
            column.missing and is_last,
            read.kinds if is_last else ("", ""),
        )


def _is_null(values: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False))


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
