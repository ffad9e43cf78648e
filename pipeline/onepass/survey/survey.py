"""Survey a lake: read every footer, draw a bounded sample, and decide the use of each column.

`inspect` prints a survey, and creating a model freezes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from onepass.encode.schema import HiveType, family
from onepass.errors import BadPartition
from onepass.job_values import Roles
from onepass.lake.discover import LakeFile
from onepass.lake.tables.open import list_lake
from onepass.lake.tables.table import TableChoice
from onepass.selection.rows import Selection
from onepass.stream.workers import Workers
from onepass.survey.agreement import check_uses, mixed_columns
from onepass.survey.bad_files import BadFiles
from onepass.survey.choice import Choice
from onepass.survey.compare_files import Footers, compare_files, usable_files
from onepass.survey.crosses import crossed, without_mere_parts
from onepass.survey.folders import folder_warnings
from onepass.survey.footers import null_shares
from onepass.survey.label import LabelProfile, describe_label, warnings_of_label
from onepass.survey.label_classes import UnknownClass
from onepass.survey.label_scan import LabelScan
from onepass.survey.lake_warnings import Place, absurd_warnings, weight_warnings
from onepass.survey.offsets import (
    beside_offset,
    check_loss,
    loss_beside,
    outcome_beside,
    sampled_offset,
)
from onepass.survey.optional_columns import OnMissing, with_absent
from onepass.survey.profile import ColumnProfile, profile_columns
from onepass.survey.row_numbers import Rows
from onepass.survey.sample import Sample, draw_sample
from onepass.survey.shapes import shaped
from onepass.survey.tails import Tails, curb_tails
from onepass.survey.taken import check_taken, known_nulls, take_files
from onepass.survey.unread import unread_warnings
from onepass.survey.whole_numbers import Clues
from onepass.wording import spoken


@dataclass(frozen=True, slots=True)
class Survey:
    """The contents of a lake, and how each of its columns would be used."""

    n_files: int
    """Number of files that can be used."""
    n_partitions: int
    """Number of partitions of these files that have rows."""
    n_rows: int
    """Number of rows of these files."""
    nbytes: int
    """Size of these files."""
    sampled_rows: int
    """Number of rows of the sample."""
    n_ruled_out: int
    """Number of further files, of which no row can meet the condition of the job."""
    taken: float
    """Share of the rows of these files that are taken: neither deleted from their table nor left
    out by the job. It is 1, or an estimate from the sample."""
    columns: list[ColumnProfile]
    """All columns except those that have a role, such as the label."""
    hive: dict[str, HiveType]
    """Type of each column that is written as a key=value folder."""
    optional: frozenset[str]
    """Columns that are read as null from files that lack them."""
    label: LabelProfile | None
    """None if the job has no label."""
    widths: dict[str, float]
    """Mean bytes of a value of each sampled column."""
    bad: list[BadPartition]
    """Errors of the files that cannot be used; empty unless bad files are skipped."""
    warnings: list[str]
    """Messages to the user about the lake."""


def survey(
    lake: str | list[str],
    *,
    label: str | None,
    weight: str | None = None,
    offset: str | None = None,
    exposure: str | None = None,
    cluster: str | None = None,
    fold_by: str | None = None,
    choice: Choice | None = None,
    loss: str = "auto",
    classes: Sequence[str] = (),
    unknown_class: UnknownClass = "error",
    on_missing_column: OnMissing = "error",
    seed: int = 0,
    selection: Selection | None = None,
    skip_bad: bool = False,
    interleaves: bool = False,
    drops_null_labels: bool = False,
    tails: Tails = "auto",
    looked: Callable[[int, int], None] | None = None,
    compared: Callable[[int], None] = lambda _: None,
    left: Callable[[Sequence[LakeFile]], list[LakeFile]] | None = None,
    dask: str | None = None,
    table: TableChoice | None = None,
) -> Survey:
    """Read all footers and a bounded sample, and decide how each column would be used.

    Labels that are classes are looked at in the whole lake.

    Parameters
    ----------
    label, weight, offset, exposure, cluster, fold_by
        Columns that are no features, as in the job.
    loss, classes, unknown_class
        As in the job; see `onepass.survey.label.profile_label`.
    on_missing_column
        As in the job; see `onepass.survey.optional_columns.decide_missing`.
    seed
        Seed of the sample.
    selection
        Rows that the job takes; all of them by default.
    skip_bad
        Whether to leave out files that cannot be used, and list them. Otherwise raise an error.
    interleaves
        Whether training will interleave partitions, so that a sorted lake needs no warning.
    drops_null_labels
        Whether training will drop rows without a label, so that they need no advice.
    tails
        Treatment of numbers with heavy tails; see `onepass.survey.tails`.
    looked
        Called with the numbers of labels looked at since the last call, and to look at in all.
    compared
        Called after each footer that has been read, with the number of files.
    left
        Returns the files of the lake to survey; all of them by default.
    dask
        Address of a Dask scheduler, whose workers read footers and labels; threads of this process
        by default. The sample is drawn here: it is a few row groups of any lake.
    table
        Version of the table to read, if the lake is one; the newest by default.

    Raises
    ------
    JobError
        If the lake or a named column does not exist, or the label does not suit the loss.
    DataError
        If there is no row, or a file cannot be used (unless `skip_bad`).
    """
    roles = Roles(label, weight, offset, exposure, cluster, fold_by)
    check_loss(roles, loss)
    bad = BadFiles(skip=skip_bad)
    with Workers(dask, mixed=True) as workers:
        listed = list_lake(lake, table)
        listed = listed if left is None else left(listed)
        summaries, n_ruled_out, taken = take_files(listed, selection, bad, workers, lake, compared)
        found = compare_files(summaries, lake, roles, choice or Choice(), bad, on_missing_column)
        files = [one.file for one in found.filled]
        sample = draw_sample(
            files, found.names, found.folders, label=label, seed=seed, bad=bad, selection=selection,
        )  # fmt: skip
        check_taken(sample, selection, lake)
        usable = usable_files(found.files, bad)
        shares = with_absent(null_shares(usable), usable, found.lacking.optional)
        filled = [one for one in usable if one.fingerprint.rows]
        scan = LabelScan(filled, label or "", bad, workers, looked, selection)
        known = sampled_offset(roles, sample.rows)
        described, target = describe_label(
            label, loss_beside(roles, loss, sample.rows), classes, sample, unknown_class, scan.take,
            known_nulls(label, shares, selection),
            drops_null=drops_null_labels, missing=found.choice.missing,
        )  # fmt: skip
    if known is not None and described is not None and target is not None:
        described = beside_offset(described, target, known)
    usable = usable_files(usable, bad)
    rows = Rows(sample.file, np.array([one.fingerprint.rows for one in found.filled]))
    mixed = mixed_columns(found.filled)
    columns = profile_columns(
        sample.rows, shares, found.choice, roles.columns, Clues(target, rows, mixed)
    )
    check_uses(usable, columns, found.folders, bad)
    labels = None
    if described is not None and target is not None:
        labels = outcome_beside(target.values, described.loss, known)
    columns = shaped(columns, sample.rows, found.choice)
    columns, tail_warnings = curb_tails(columns, sample.rows, labels, tails)
    crosses = crossed(columns, sample.rows, found.choice)
    columns = without_mere_parts(columns, found.choice) + found.unread
    place = None if interleaves else Place(sample.place, sample.file, len(files))
    label_warnings: list[str] = []
    if described is not None and target is not None:
        label_warnings = warnings_of_label(described, target, sample, place, columns)
    usable = usable_files(usable, bad)
    warnings = _warnings(found, columns, sample, weight)
    warnings += [cross.warning for cross in crosses if cross.warning]
    return Survey(
        n_files=len(usable),
        n_partitions=sum(one.n_partitions for one in usable if one.fingerprint.rows),
        n_rows=sum(one.fingerprint.rows for one in usable),
        nbytes=sum(one.fingerprint.size for one in usable),
        sampled_rows=sample.rows.num_rows,
        n_ruled_out=n_ruled_out,
        taken=taken * sample.taken,
        columns=columns + crosses,
        hive=found.hive,
        optional=found.lacking.optional,
        label=described,
        widths=sample.widths(),
        bad=list(bad),
        warnings=[spoken(one) for one in (*tail_warnings, *warnings, *label_warnings)],
    )


def _warnings(
    found: Footers, columns: list[ColumnProfile], sample: Sample, weight: str | None
) -> list[str]:
    """Return the warnings about everything but the label."""
    return [
        *found.lacking.left_out.values(),
        *found.lacking.warnings,
        *unread_warnings(found.unread, found.choice.exclude),
        *folder_warnings(found.files, found.folders),
        *(column.warning for column in columns if column.warning),
        *absurd_warnings(sample.rows, columns),
        *_weight_warnings(weight, sample),
    ]


def _weight_warnings(name: str | None, sample: Sample) -> list[str]:
    values = None if name is None else sample.rows.column(name).combine_chunks()
    # Weights of another type are refused when their rows are encoded.
    usable = values is not None and family(values.type) in {"integer", "real"}
    return weight_warnings(name, values) if name is not None and usable else []
