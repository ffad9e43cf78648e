"""Turn Arrow columns into blocks, as the frozen schema says.

Columns of a batch have as many rows as the batch; a key=value folder has one, and numpy spreads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.block import Block, Float32Array, FloatArray, IntArray
from pipeline.encode.columns import (
    as_text,
    epoch_seconds,
    floats,
    plain,
    typed_hive,
)
from pipeline.encode.frequent import commonest
from pipeline.encode.hashing import hash_slots
from pipeline.encode.schema import (
    Bool,
    Column,
    Hashed,
    Numeric,
    OneHot,
    Schema,
    Time,
    accepted_families,
    family,
)
from pipeline.encode.target import label_target
from pipeline.errors import BadColumn

_DAY = 86_400.0
_YEAR = 365.2425 * _DAY
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A block and what was noticed while making it."""

    block: Block
    counts: Counter[str]
    """Dropped rows and treated values by kind, such as ``null_label`` or ``unknown_level``."""
    frequent: dict[str, dict[str, int]]
    """Commonest values of each hashed column, with their rows; empty where no label is read."""
    rows: IntArray | None = None
    """Places of the block's rows in the batch; None for all of them."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes batches by a frozen schema; holds no state.

    Parameters
    ----------
    schema
        How each column becomes numbers.
    drop_null_label
        Whether rows without a label are dropped and counted; an error otherwise.
    """

    schema: Schema
    drop_null_label: bool = False

    def encode(
        self, batch: pa.Table, hive: Mapping[str, str | None], *, label: bool = True
    ) -> Encoded:
        """One batch as a block.

        Parameters
        ----------
        batch
            Rows with the columns of ``schema.names(label=label)``.
        hive
            Values of the key=value folders that the batch lies in.
        label
            Whether the rows carry a label and a weight to read.

        Raises
        ------
        BadColumn
            If a column is missing, of another type, or has values that cannot be used.
        """
        counts: Counter[str] = Counter()
        n_rows = batch.num_rows
        dense = np.zeros((n_rows, self.schema.n_dense), np.float32)
        slots = np.empty((n_rows, self.schema.n_hashed), np.int32)
        first, hashed = 0, 0
        frequent: dict[str, dict[str, int]] = {}
        for column in self.schema.columns:
            values = self._values(column, batch, hive)
            if isinstance(column, Hashed):
                text = _dictionary(as_text(values))
                slots[:, hashed] = hash_slots(text, column.name, self.schema.hash_bits)
                hashed += 1
                if label:
                    frequent[column.name] = commonest(text, n_rows // max(1, len(text)))
            else:
                width = len(column.feature_names())
                noticed = _write(column, values, dense[:, first : first + width])
                spread = n_rows if column.name in self.schema.hive else 1
                counts.update({kind: n * spread for kind, n in noticed.items() if n})
                first += width
        target, weight = self._target(batch, n_rows, counts, label=label)
        block = Block(dense, slots, target, weight)
        keep = np.isfinite(target) if label else np.ones(n_rows, bool)
        if keep.all():
            return Encoded(block, counts, frequent)
        rows = np.flatnonzero(keep)
        return Encoded(block.take(rows), counts, frequent, rows)

    def _values(self, column: Column, batch: pa.Table, hive: Mapping[str, str | None]) -> pa.Array:
        if column.name in self.schema.hive:
            if column.name not in hive:
                raise BadColumn("expected in the path as a key=value folder", column.name)
            return typed_hive(column.name, [hive[column.name]], self.schema.hive[column.name])
        values = _column(batch, column.name)
        found, accepted = family(values.type), accepted_families(column)
        if found not in accepted:
            raise BadColumn(
                f"expected {' or '.join(accepted[:-1])}, found type {values.type}", column.name
            )
        return values

    def _target(
        self, batch: pa.Table, n_rows: int, counts: Counter[str], *, label: bool
    ) -> tuple[FloatArray, FloatArray]:
        weight = np.ones(n_rows)
        if not label:
            return np.full(n_rows, np.nan), weight
        spec = self.schema.label
        target = label_target(_column(batch, spec.name), spec)
        missing = int(np.isnan(target).sum())
        if missing and not self.drop_null_label:
            raise BadColumn(
                f"{missing} of {n_rows} labels are null or NaN",
                spec.name,
                "Drop such rows with --on-null-label drop (they are counted), or repair the file.",
            )
        counts.update({"null_label": missing} if missing else {})
        if self.schema.weight is not None:
            weight = _weights(_column(batch, self.schema.weight), self.schema.weight)
        return target, weight


def _column(batch: pa.Table, name: str) -> pa.Array:
    if batch.schema.get_field_index(name) < 0:
        raise BadColumn(f"the column is missing; the file has {batch.column_names}", name)
    return batch.column(name).combine_chunks()


def _write(column: Column, values: pa.Array, out: Float32Array) -> dict[str, int]:
    match column:
        case Numeric():
            return _write_numeric(column, plain(values), out)
        case Bool():
            return _write_bool(column, floats(values), out)
        case Time():
            return _write_time(column, epoch_seconds(values), out)
        case OneHot():
            return _write_one_hot(column, values, out)
        case Hashed():
            return {}


def _write_numeric(column: Numeric, values: pa.Array, out: Float32Array) -> dict[str, int]:
    null = values.is_null().to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        scaled = (floats(values) - column.center) / column.scale
    # NaN fails the comparison, so null, infinite and unrepresentable values are all imputed.
    usable = np.abs(scaled) <= _LARGEST
    out[:, 0] = np.where(usable, scaled, 0.0)
    noticed = {"non_finite": int((~usable & ~null).sum())} | _mark(column.missing, null, out)
    if column.missing:
        out[:, -1] = ~usable
    return noticed


def _write_bool(column: Bool, values: FloatArray, out: Float32Array) -> dict[str, int]:
    null = np.isnan(values)
    out[:, 0] = np.where(null, 0.0, values)
    return _mark(column.missing, null, out)


def _write_time(column: Time, seconds: FloatArray, out: Float32Array) -> dict[str, int]:
    null = np.isnan(seconds)
    at = np.where(null, column.center, seconds)
    features = [feature for part in column.parts for feature in _time_part(part, at, column)]
    for i, feature in enumerate(features):
        out[:, i] = np.where(null, 0.0, feature)
    return _mark(column.missing, null, out)


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


def _write_one_hot(column: OneHot, values: pa.Array, out: Float32Array) -> dict[str, int]:
    if not pa.types.is_dictionary(values.type):
        values = pc.dictionary_encode(values)
    distinct = as_text(values.dictionary).cast(pa.string())
    level_of = pc.index_in(distinct, value_set=pa.array(column.levels, pa.string()))
    n_levels = len(column.levels)
    # Levels 0..n-1, then unknown, then null.
    level_of = pc.if_else(distinct.is_null(), n_levels + 1, pc.fill_null(level_of, n_levels))
    codes = pc.fill_null(values.indices.cast(pa.int64()), len(distinct)).to_numpy()
    level = np.append(level_of.to_numpy(), n_levels + 1)[codes]
    null, unknown = level == n_levels + 1, level == n_levels
    seen = (level > 0) & (level < n_levels)
    if len(level) == len(out):
        hit = np.flatnonzero(seen)
        out[hit, level[hit] - 1] = 1.0
    elif seen[0]:
        out[:, level[0] - 1] = 1.0
    out[:, -1] = unknown
    noticed = {"unknown_level": int(unknown.sum())}
    return noticed | _mark(column.missing, null, out[:, :-1])


def _dictionary(text: pa.Array) -> pa.Array:
    return text if pa.types.is_dictionary(text.type) else pc.dictionary_encode(text)


def _mark(expected: bool, missing: np.ndarray, out: Float32Array) -> dict[str, int]:
    if expected:
        out[:, -1] = missing
        return {}
    return {"unexpected_null": int(missing.sum())}


def _weights(values: pa.Array, name: str) -> FloatArray:
    if family(values.type) not in {"integer", "real", "bool"}:
        raise BadColumn(f"a weight must be a number, found type {values.type}", name)
    weight = floats(values)
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        raise BadColumn(
            f"expected weights of at least 0, found {weight[np.flatnonzero(bad)[0]]:g}", name
        )
    return weight
