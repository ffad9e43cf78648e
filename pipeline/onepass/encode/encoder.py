"""Turn Arrow columns into blocks, as the frozen schema says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onepass.arrays import as_batch, empty, filled
from onepass.block import Block, FloatArray, IntArray, Linear, SlotArray
from onepass.encode.columns import as_text, epoch_seconds, floats, plain, typed_hive
from onepass.encode.frequent import NOTED_EVERY, commonest
from onepass.encode.hashing import slot_codes
from onepass.encode.layout import Alike, Layout, lay_out
from onepass.encode.schema import (
    READS,
    Bool,
    Column,
    Hashed,
    Numeric,
    OneHot,
    Schema,
    Time,
    family,
    is_readable,
    use_of,
)
from onepass.encode.target import label_target
from onepass.encode.write.margins import Margins
from onepass.encode.write.rows import Rows
from onepass.encode.write.sink import Numbers, Sink
from onepass.encode.write.transpose import invert, scatter
from onepass.errors import BadColumn

SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-100, 1e15
"""Beyond these, sums of weights leave no trace of other rows, and squares overflow."""

_DAY = 86_400.0
_YEAR = 365.2425 * _DAY


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one file."""

    batch: pa.RecordBatch
    """With the columns of ``schema.names(label=label)``."""
    hive: Mapping[str, str | None] = field(default_factory=dict)
    """Values of the key=value folders that the file lies in."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A block and what was noticed while making it."""

    block: Block
    """Without features where there are margins in their place."""
    counts: Counter[str]
    """Dropped rows and treated values by kind, such as ``null_label`` or ``unknown_level``."""
    frequent: dict[str, Counter[str]]
    """Commonest values of each hashed column, with their rows; empty where nothing is learnt."""
    rows: IntArray
    """Place of each of the block's rows among the rows of all parts."""
    margins: FloatArray | None = None
    """Of a linear model, shape (n_outputs, n_rows)."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes batches by a frozen schema; remembers nothing but where columns lie in files.

    Parameters
    ----------
    schema
        How each column becomes numbers.
    drop_null_label
        Whether rows without a label are dropped and counted; an error otherwise.
    """

    schema: Schema
    drop_null_label: bool = False
    _layouts: list[Layout] = field(default_factory=list, repr=False, compare=False)

    def layout(self, tables: pa.Schema) -> Layout:
        """Where the columns lie in tables of that kind."""
        for known in self._layouts:
            if known.of.equals(tables):
                return known
        found = lay_out(self.schema, tables)
        # Files of a lake are of one kind, or of a few.
        self._layouts[:] = [found, *self._layouts[:3]]
        return found

    def encode(
        self,
        rows: pa.Table,
        hive: Mapping[str, str | None],
        *,
        label: bool = True,
        linear: Linear | None = None,
    ) -> Encoded:
        """Rows of one file, in their order; see `Draft`."""
        draft = Draft(self, rows.num_rows, label=label, linear=linear)
        draft.write(Part(as_batch(rows), hive))
        return draft.finish()


class Draft:
    """A block that is filled part by part, in any order of its rows.

    Parameters
    ----------
    encoder
        Says how.
    n_rows
        Rows of all parts.
    order
        Row k of the block is row ``order[k]`` of the parts, one after another; as they come by
        default.
    label
        Whether the rows carry a label and a weight to read.
    noted
        Hashed columns of which the commonest values are noted, shape (n_hashed,): one in
        `NOTED_EVERY`, which stands for the others. All by default.
    linear
        Model of which the margins are worked out in place of features, as the rows come.
    """

    def __init__(
        self,
        encoder: Encoder,
        n_rows: int,
        order: IntArray | None = None,
        *,
        label: bool = True,
        noted: NDArray[np.bool_] | None = None,
        linear: Linear | None = None,
    ) -> None:
        if linear is not None and order is not None:
            raise ValueError("margins come in the order of the rows")
        self._encoder, self._label, self._noted = encoder, label, noted
        self._learns = label and linear is None
        self._schema = schema = encoder.schema
        self._order = np.arange(n_rows) if order is None else order
        self._place = self._order
        if order is not None:
            self._place = empty((n_rows,), np.int64)
            invert(order, self._place)
        self._n_written = 0
        self._sink: Sink
        if linear is None:
            self._sink = Rows(schema.n_dense, schema.n_hashed, self._place)
        else:
            self._sink = Margins(linear, n_rows)
        self._target = empty((n_rows,), np.float64) if label else filled(n_rows, np.nan)
        self._weight = filled(n_rows, 1.0)
        self._counts: Counter[str] = Counter()
        self._frequent: dict[str, Counter[str]] = {}

    def write(self, part: Part) -> None:
        """Fill in the next rows.

        Raises
        ------
        BadColumn
            If a column is missing, of another type, or has values that cannot be used.
        ValueError
            If there are more rows than were announced.
        """
        start, n_rows = self._n_written, part.batch.num_rows
        if start + n_rows > len(self._order):
            raise ValueError(f"expected {len(self._order)} rows in all, found {start + n_rows}")
        self._n_written += n_rows
        layout = self._encoder.layout(part.batch.schema)
        for alike in layout.alike:
            self._write_alike(alike, part.batch, start)
        numbers, noted = Numbers(), []
        codes: list[pa.Array] = []
        slot_of: list[SlotArray | None] = []
        for column, first, width in layout.others:
            values = self._values(column, part)
            in_folder = column.name in self._schema.hive
            if isinstance(column, Hashed):
                if self._learns:
                    self._note(column, len(codes), values, n_rows if in_folder else 1)
                own, table = slot_codes(values, column.name, self._schema.hash_bits)
                codes.append(pa.repeat(own[0], n_rows) if in_folder else own)
                slot_of.append(table)
            elif in_folder:
                self._spread(column, values, first, start, n_rows)
            elif isinstance(column, OneHot):
                self._count(_write_levels(self._sink, column, values, first, width, start))
            else:
                noted += _add_numbers(column, values, numbers, first)
        for (bad_kind, null_kind), found in zip(
            noted, numbers.write(self._sink, start), strict=True
        ):
            self._count({bad_kind: found[0], null_kind: found[1]})
        if codes:
            self._sink.slots(codes, slot_of, start)
        if self._label:
            self._write_target(part.batch, self._place[start : start + n_rows])

    def finish(self) -> Encoded:
        """What the rows have become, without those that have no label."""
        assert self._n_written == len(self._order)
        rows, margins = self._order, self._sink.margins
        block = Block(*self._sink.features(), self._target, self._weight)
        if self._label and self._counts["null_label"]:
            kept = np.flatnonzero(np.isfinite(self._target))
            block, rows = block.take(kept), rows[kept]
            margins = None if margins is None else margins[:, kept]
        return Encoded(block, +self._counts, self._frequent, rows, margins)

    def _count(self, noticed: Mapping[str, int]) -> None:
        self._counts.update({kind: n for kind, n in noticed.items() if kind and n})

    def _values(self, column: Column, part: Part) -> pa.Array:
        hive = self._schema.hive
        if column.name in hive:
            if column.name not in part.hive:
                raise BadColumn("expected in the path as a key=value folder", column.name)
            return typed_hive(column.name, [part.hive[column.name]], hive[column.name])
        values = _column(part.batch, column.name)
        use = use_of(column)
        if is_readable(use, values.type):
            return values
        if values.null_count < len(values):
            raise BadColumn(f"expected {READS[use].text}, found type {values.type}", column.name)
        return pa.nulls(len(values))

    def _write_alike(self, alike: Alike, batch: pa.RecordBatch, start: int) -> None:
        columns = batch.columns
        arrays = [columns[place] for place in alike.places]
        found = self._sink.numbers(arrays, alike.scaled, start)
        for i in np.flatnonzero(found[0] + found[1]):
            kinds = _kinds(alike.columns[i])
            self._count({kind: int(n[i]) for kind, n in zip(kinds, found, strict=True)})

    def _spread(
        self, column: Column, values: pa.Array, first: int, start: int, n_rows: int
    ) -> None:
        """Give all rows the one value of a key=value folder."""
        width = len(column.feature_names())
        one = Rows(width, 0, np.zeros(1, np.int64))
        if isinstance(column, OneHot):
            noticed = _write_levels(one, column, values, 0, width, 0)
        else:
            numbers = Numbers()
            kinds = _add_numbers(column, values, numbers, 0)
            noticed = {}
            for names, found in zip(kinds, numbers.write(one, 0), strict=True):
                noticed |= dict(zip(names, found, strict=True))
        self._sink.constant(one.features()[0][0], first, start, n_rows)
        self._count({kind: n * n_rows for kind, n in noticed.items()})

    def _note(self, column: Hashed, number: int, values: pa.Array, times: int) -> None:
        # A folder has one value, which costs nothing.
        if self._noted is None or column.name in self._schema.hive:
            found = commonest(values, times)
        elif self._noted[number]:
            found = commonest(values, times * NOTED_EVERY)
        else:
            return
        self._frequent.setdefault(column.name, Counter()).update(found)

    def _write_target(self, batch: pa.RecordBatch, rows: IntArray) -> None:
        spec = self._schema.label
        target = label_target(_column(batch, spec.name), spec)
        missing = int(scatter(target, rows, self._target))
        if missing and not self._encoder.drop_null_label:
            raise BadColumn(
                f"{missing} of {len(rows)} labels are null or NaN",
                spec.name,
                "Drop such rows with --on-null-label drop (they are counted), or repair the file.",
            )
        self._count({"null_label": missing})
        if self._schema.weight is not None:
            weight = _weights(_column(batch, self._schema.weight), self._schema.weight)
            scatter(weight, rows, self._weight)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if batch.schema.get_field_index(name) < 0:
        raise BadColumn(f"the column is missing; the file has {batch.schema.names}", name)
    return batch.column(name)


def _kinds(column: Numeric) -> tuple[str, str]:
    """How values that are no numbers, and nulls, are counted; "" for not at all."""
    return ("non_finite", "" if column.missing else "unexpected_null")


def _add_numbers(
    column: Column, values: pa.Array, numbers: Numbers, first: int
) -> list[tuple[str, str]]:
    """Hand on the features of a column; return how what is noticed of each is called, or ""."""
    match column:
        case Numeric():
            center, scale, missing = column.center, column.scale, column.missing
            numbers.add(plain(values), center, scale, first, mark=missing)
            return [_kinds(column)]
        case Bool():
            numbers.add(plain(values).cast(pa.uint8()), 0.0, 1.0, first, mark=column.missing)
            return [("", "" if column.missing else "unexpected_null")]
        case Time():
            return _add_time(column, epoch_seconds(values), numbers, first)
        case OneHot() | Hashed():
            raise TypeError(f"{column.name} is a category")


def _add_time(
    column: Time, seconds: FloatArray, numbers: Numbers, first: int
) -> list[tuple[str, str]]:
    null = np.isnan(seconds)
    at = np.where(null, column.center, seconds)
    features = [feature for part in column.parts for feature in _time_part(part, at, column)]
    last = len(features) - 1
    for i, feature in enumerate(features):
        # The last tells of the nulls, which all have.
        values = pa.array(np.where(null, 0.0, feature), mask=null if i == last else None)
        numbers.add(values, 0.0, 1.0, first + i, mark=column.missing and i == last)
    return [("", "")] * last + [("", "" if column.missing else "unexpected_null")]


def _time_part(part: str, seconds: FloatArray, column: Time) -> list[FloatArray]:
    match part:
        case "trend":
            return [(seconds - column.center) / column.scale]
        case "weekday":
            # 1970-01-01 was a Thursday; Monday is the reference.
            weekday = (np.floor(seconds / _DAY) + 3) % 7
            return [(weekday == day).astype(np.float64) for day in range(1, 7)]
        case cycle:
            angle = seconds * (2 * np.pi / (_DAY if cycle == "hour" else _YEAR))
            return [np.sin(angle), np.cos(angle)]


def _write_levels(
    sink: Sink, column: OneHot, values: pa.Array, first: int, width: int, start: int
) -> dict[str, int]:
    if not pa.types.is_dictionary(values.type):
        values = pc.dictionary_encode(values)
    distinct = as_text(values.dictionary).cast(pa.string())
    # Level 0 is the reference; behind the levels come null, if it has a feature, and the unknown.
    level = pc.index_in(distinct, value_set=pa.array(column.levels, pa.string()))
    feature_of = pc.fill_null(pc.subtract(level, 1), width - 1)
    null = width - 2 if column.missing else -1
    feature_of = pc.if_else(distinct.is_null(), null, feature_of).to_numpy(zero_copy_only=False)
    feature_of = np.append(feature_of, null).astype(np.int64)
    codes = pc.fill_null(values.indices.cast(pa.int32()), len(distinct)).to_numpy()
    sink.levels(codes, feature_of, first, width, start)
    n_rows_of = np.bincount(codes, minlength=len(feature_of))
    is_null = np.append(distinct.is_null().to_numpy(zero_copy_only=False), True)
    return {
        "unknown_level": int(n_rows_of[(feature_of == width - 1) & ~is_null].sum()),
        "" if column.missing else "unexpected_null": int(n_rows_of[is_null].sum()),
    }


def _weights(values: pa.Array, name: str) -> FloatArray:
    if family(values.type) not in {"integer", "real", "bool"}:
        raise BadColumn(f"a weight must be a number, found type {values.type}", name)
    weight = floats(values)
    # NaN fails both comparisons.
    usable = (weight == 0) | ((weight >= SMALLEST_WEIGHT) & (weight <= LARGEST_WEIGHT))
    if not usable.all():
        found = weight[np.flatnonzero(~usable)[0]]
        raise BadColumn(
            "expected weights of at least 0"
            + (f", and of {SMALLEST_WEIGHT:g} to {LARGEST_WEIGHT:g}" if found > 0 else "")
            + f", found {found:g}",
            name,
        )
    return weight
