"""Take the rows of a unit that a job selects, once they are decoded.

Rows that the file's table has deleted are left out first, then those that do not meet the condition
of the job, then those that its sample leaves out. Each row is counted once, by the first reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import IntArray
from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.order import drawn
from onepass.lake.pruning import folders_of
from onepass.lake.rotation import Step
from onepass.lake.units import Unit
from onepass.partition import DELETED, LEFT_OUT_BY_SAMPLE, LEFT_OUT_BY_WHERE
from onepass.selection.evaluate import holds
from onepass.selection.rows import Selection
from onepass.selection.types import CannotCompare
from onepass.stream.check_where import not_comparable
from onepass.stream.deleted_rows import OF_PROCESS


@dataclass(frozen=True, slots=True)
class Selected:
    """The rows of a unit that are left."""

    rows: pa.RecordBatch
    places: IntArray | None = None
    """Place of each row among those of the unit; None if all are left."""
    counts: Counter[str] = field(default_factory=Counter)
    """Rows that were left out, by reason."""


def selects(file: LakeFile, selection: Selection | None) -> bool:
    """Return whether rows of a file may be left out."""
    return selection is not None or (file.view is not None and file.view.deleted is not None)


def select(
    rows: pa.RecordBatch,
    unit: Unit,
    file: LakeFile,
    footer: Footer,
    selection: Selection | None,
    without: Sequence[str] = (),
) -> Selected:
    """Return the rows of a unit that are neither deleted nor left out by the job.

    Parameters
    ----------
    without
        Columns that nobody needs once the condition is evaluated.

    Raises
    ------
    BadPartition
        If a column cannot be compared as the condition does, or deleted rows cannot be read.
    """
    if not selects(file, selection) or not rows.num_rows:
        return Selected(rows)
    ranges = unit.ranges(footer.row_group_rows())
    left = np.ones(rows.num_rows, np.bool_)
    counts: Counter[str] = Counter()
    for reason, keep in _masks(rows, ranges, file, footer, selection):
        counts[reason] += int(np.count_nonzero(left & ~keep))
        left &= keep
    if without and rows.num_columns:
        # Rows without any column would lose their number.
        names = rows.schema.names
        rows = rows.select([one for one in names if one not in without] or names[:1])
    if left.all():
        return Selected(rows)
    places = np.flatnonzero(left)
    # Rows without a column are all alike; pyarrow would take none of them.
    taken = rows.take(pa.array(places)) if rows.num_columns else rows.slice(0, len(places))
    return Selected(taken, places, +counts)


def _masks(
    rows: pa.RecordBatch,
    ranges: Sequence[tuple[int, int, int]],
    file: LakeFile,
    footer: Footer,
    selection: Selection | None,
) -> Iterable[tuple[str, NDArray[np.bool_]]]:
    """Yield each reason to leave rows out, with the rows that it leaves in."""
    deleted = OF_PROCESS.positions(file)
    if deleted is not None:
        _check_within(deleted, file, footer)
        yield DELETED, np.concatenate([~_deleted(deleted, one, footer) for one in ranges])
    if selection is None:
        return
    if selection.node is not None:
        try:
            found = holds(selection.node, rows, folders_of(file))
        except CannotCompare as error:
            raise not_comparable(error, file) from None
        yield LEFT_OUT_BY_WHERE, found.fill_null(False).to_numpy(zero_copy_only=False)
    if selection.sample is not None:
        place = ("sample of rows", selection.seed, file.key)
        parts = [drawn(n, first, selection.sample, *place, group) for group, first, n in ranges]
        yield LEFT_OUT_BY_SAMPLE, np.concatenate(parts)


def _check_within(deleted: IntArray, file: LakeFile, footer: Footer) -> None:
    n_rows = footer.fingerprint.rows
    if len(deleted) and deleted[-1] >= n_rows:
        raise BadPartition(
            f"the table has deleted row {deleted[-1]:,} of this file, which has {n_rows:,} rows",
            path=file.key,
        )


def _deleted(positions: IntArray, place: tuple[int, int, int], footer: Footer) -> NDArray[np.bool_]:
    """Return which rows of a range are deleted."""
    group, first, n_rows = place
    start = sum(footer.row_group_rows()[:group]) + first
    low, high = np.searchsorted(positions, [start, start + n_rows])
    found = np.zeros(n_rows, np.bool_)
    found[positions[low:high] - start] = True
    return found


def pruned(steps: Iterable[Step]) -> Counter[str]:
    """Count the rows of the row groups that are not read, because no row of them can match.

    Parameters
    ----------
    steps
        Steps of the first block of a group, which has one of each partition at least.
    """
    counts: Counter[str] = Counter()
    for source in {id(step.source): step.source for step in steps}.values():
        if source.left is None:
            continue
        rows, partition = source.footer.row_group_rows(), source.partition
        skipped = set(range(partition.first_row_group, partition.end_row_group))
        skipped -= set(source.row_groups)
        ranges = [(group, 0, rows[group]) for group in sorted(skipped) if rows[group]]
        n_rows = sum(n for _, _, n in ranges)
        if not n_rows:
            continue
        deleted = OF_PROCESS.positions(source.file)
        n_deleted = 0
        if deleted is not None:
            n_deleted = sum(int(_deleted(deleted, one, source.footer).sum()) for one in ranges)
        counts[DELETED] += n_deleted
        counts[LEFT_OUT_BY_WHERE] += n_rows - n_deleted
    return +counts
