"""Fill a block with the rows of one or several files, part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.arrays import empty, filled
from onepass.block import Block, FloatArray, IntArray, Linear
from onepass.encode.columns import column_of, typed_hive
from onepass.encode.folds import row_folds
from onepass.encode.hashed_columns import HashedColumns
from onepass.encode.layout import Layouts, NumberGroup
from onepass.encode.levels import write_category
from onepass.encode.nested import Nested, write_nested
from onepass.encode.numbers import Numbers, kinds_of_count
from onepass.encode.reads import READS, is_readable, use_of, uses_of
from onepass.encode.roles import known_margins, row_clusters
from onepass.encode.scalar_kinds import Bool, Hashed, Numeric, OneHot, Time
from onepass.encode.schema import Label
from onepass.encode.shapes import Bins, Cross, Product, Spline
from onepass.encode.target import row_weights
from onepass.encode.targets import Targets
from onepass.encode.write.margins import Margins
from onepass.encode.write.rows import Rows
from onepass.encode.write.sink import Sink
from onepass.encode.write.transpose import invert, scatter
from onepass.errors import BadColumn


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one file."""

    batch: pa.RecordBatch
    """Rows with at least the columns of ``schema.names(label=label)``."""
    hive: Mapping[str, str | None] = field(default_factory=dict)
    """Values of the key=value folders that the file lies in."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A block, with counts and other findings about its rows."""

    block: Block
    """The block, which has no features if `margins` were computed instead."""
    counts: Counter[str]
    """Dropped rows and treated values by kind, such as ``null_label`` or ``unknown_level``."""
    frequent: dict[str, Counter[str]]
    """Counts of the commonest values by hashed column; empty if the rows are not to be learnt."""
    rows: IntArray
    """Place of each of the block's rows among the rows of all parts."""
    margins: FloatArray | None = None
    """Margins of a linear model, shape (n_outputs, n_rows)."""


class Draft:
    """A block that is filled part by part, in any order of its rows.

    Parameters
    ----------
    layouts
        Finds the columns of the schema in the parts.
    n_rows
        Number of rows of all parts.
    order
        Row k of the block is row ``order[k]`` of all parts, counted one after another. By default
        rows keep their order.
    drop_null_label
        Whether rows without a label are dropped and counted; an error otherwise.
    label
        Whether the rows carry a label and a weight to read.
    noted
        Whether to count the commonest values of each of ``schema.counted()``. The counts are
        multiplied by `onepass.encode.frequent.NOTED_EVERY`, because a column is counted in one
        block of so many. By default all columns are counted, without this factor.
    linear
        Model whose margins are computed in place of features; `order` must then be None.
    further
        Labels of other models that have the same features, each with whether rows without it are
        dropped.
    """

    def __init__(
        self,
        layouts: Layouts,
        n_rows: int,
        order: IntArray | None = None,
        *,
        drop_null_label: bool = False,
        label: bool = True,
        noted: NDArray[np.bool_] | None = None,
        linear: Linear | None = None,
        further: Sequence[tuple[Label, bool]] = (),
    ) -> None:
        if linear is not None and order is not None:
            raise ValueError("margins come in the order of the rows")
        self._layouts, self._schema = layouts, layouts.schema
        self._optional = frozenset(self._schema.optional)
        self._label, self._noted = label, noted
        self.learns = label and linear is None
        """Whether the rows are to be learnt."""
        self._order = np.arange(n_rows) if order is None else order
        self._place = self._order
        if order is not None:
            self._place = empty((n_rows,), np.int64)
            invert(order, self._place)
        self._n_written = 0
        self._sink: Sink
        if linear is None:
            self._sink = Rows(
                self._schema.n_dense,
                self._schema.n_hashed,
                self._place,
                has_entries=self._schema.has_entries,
            )
        else:
            self._sink = Margins(linear, n_rows)
        labels = [(self._schema.label, drop_null_label), *further]
        self._targets = [Targets(one, n_rows, drops_null=drops) for one, drops in labels]
        self._weight = filled(n_rows, 1.0)
        self._offset = filled(n_rows, 0.0) if self._schema.has_offset else None
        has_clusters = label and self._schema.cluster is not None
        self._cluster = empty((n_rows,), np.int64) if has_clusters else None
        self._fold = empty((n_rows,), np.int64) if self.learns and self._schema.fold_by else None
        self._counts: Counter[str] = Counter()
        self._frequent: dict[str, Counter[str]] = {}

    def write(self, part: Part) -> None:
        """Write the next rows.

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
        layout = self._layouts.of(part.batch.schema)
        for group in layout.groups:
            self._write_group(group, part.batch, start)
        numbers = Numbers()
        frequent = self._frequent if self.learns else None
        hashed = HashedColumns(self._schema, self._noted, frequent, n_rows)
        for column, first, width in layout.others:
            if isinstance(column, Nested):
                self._write_nested(column, part, first, start, hashed)
                continue
            values = [self._values(source.name, use_of(source), part) for source in column.sources]
            match column:
                case Hashed():
                    self._count([("not_whole", hashed.add(column, values[0]))])
                case Cross():
                    hashed.add_cross(column, values)
                case Product():
                    numbers.add_product(column, values, first, n_rows)
                case _ if column.name in self._schema.hive:
                    self._write_folder(column, values[0], first, start, n_rows)
                case OneHot() | Bins():
                    found = write_category(self._sink, column, values[0], first, width, start)
                    self._count(found)
                case _:
                    numbers.add(column, values[0], first)
        self._count(numbers.write(self._sink, start))
        hashed.write(self._sink, start)
        rows = self._place[start : start + n_rows]
        if self._label:
            for targets in self._targets:
                targets.write(part.batch, rows)
        self._write_roles(part.batch, rows)

    def finish(self) -> Encoded:
        """Return the block, without the rows that have no label or one of an unknown class."""
        return self.finish_all()[0]

    def finish_all(self) -> list[Encoded]:
        """Return the block of each label; those of all rows have the same arrays of features."""
        assert self._n_written == len(self._order)
        features, sparse = self._sink.features(), self._sink.sparse()
        found = []
        for targets in self._targets:
            values = targets.values if self._label else filled(len(self._order), np.nan)
            block = Block(
                *features, values, self._weight, sparse, self._offset, self._cluster, self._fold
            )
            found.append(self._encoded(block, targets))
        return found

    def _encoded(self, block: Block, targets: Targets) -> Encoded:
        rows, margins = self._order, self._sink.margins
        if margins is not None and self._offset is not None:
            margins = margins + self._offset / self._schema.label.scale
        kept = targets.known()
        if kept is not None:
            block, rows = block.take(kept), rows[kept]
            margins = None if margins is None else margins[:, kept]
        return Encoded(block, self._counts + targets.counts, self._frequent, rows, margins)

    def _count(self, noticed: Iterable[tuple[str, int]]) -> None:
        """Add to the counts of kinds of values; the kind "" is not counted."""
        for kind, n in noticed:
            if kind and n:
                self._counts[kind] += n

    def _values(self, name: str, use: str, part: Part) -> pa.Array:
        """Return the values of a column after checking its type; one value if it is a folder.

        An optional column that the part lacks is null.
        """
        hive, is_optional = self._schema.hive, name in self._optional
        if name in hive:
            if name not in part.hive and not is_optional:
                raise BadColumn("expected in the path as a key=value folder", name)
            return typed_hive(name, [part.hive.get(name)], hive[name])
        if is_optional and part.batch.schema.get_field_index(name) < 0:
            return pa.nulls(part.batch.num_rows)
        values = column_of(part.batch, name)
        if is_readable(use, values.type):
            return values
        if values.null_count < len(values):
            raise BadColumn(f"expected {READS[use].text}, found type {values.type}", name)
        return pa.nulls(len(values))

    def _write_nested(
        self, column: Nested, part: Part, first: int, start: int, hashed: HashedColumns
    ) -> None:
        sources = [self._values(name, use, part) for name, use in uses_of(column)]
        bits = self._schema.hash_bits
        noticed, named = write_nested(self._sink, column, sources, first, start, bits)
        self._count(noticed)
        if named is not None:
            hashed.note(column.name, named)

    def _write_group(self, group: NumberGroup, batch: pa.RecordBatch, start: int) -> None:
        columns = batch.columns
        arrays = [columns[place] for place in group.places]
        found = self._sink.numbers(arrays, group.scaled, start)
        for i in np.flatnonzero(found[0] + found[1]):
            kinds = kinds_of_count(group.columns[i])
            self._count((kind, int(n[i])) for kind, n in zip(kinds, found, strict=True))

    def _write_folder(
        self,
        column: Numeric | Bool | Time | OneHot | Spline | Bins,
        values: pa.Array,
        first: int,
        start: int,
        n_rows: int,
    ) -> None:
        """Encode the one value of a key=value folder, and give it to all rows."""
        width = len(column.feature_names())
        one_row = Rows(width, 0, np.zeros(1, np.int64))
        if isinstance(column, OneHot | Bins):
            noticed = write_category(one_row, column, values, 0, width, 0)
        else:
            numbers = Numbers()
            numbers.add(column, values, 0)
            noticed = numbers.write(one_row, 0)
        self._sink.constant(one_row.features()[0][0], first, start, n_rows)
        self._count((kind, n * n_rows) for kind, n in noticed)

    def _write_roles(self, batch: pa.RecordBatch, rows: IntArray) -> None:
        """Write weights, offsets, clusters and folds to these rows of the block."""
        schema = self._schema
        if self._label and schema.weight is not None:
            weight = row_weights(column_of(batch, schema.weight), schema.weight)
            scatter(weight, rows, self._weight)
        if self._offset is not None:
            self._offset[rows] = known_margins(batch, schema.offset, schema.exposure)
        if self._cluster is not None and schema.cluster is not None:
            self._cluster[rows] = row_clusters(column_of(batch, schema.cluster), schema.cluster)
        if self._fold is not None and schema.fold_by is not None:
            values = column_of(batch, schema.fold_by)
            self._fold[rows] = row_folds(values, schema.fold_by, schema.folds)
