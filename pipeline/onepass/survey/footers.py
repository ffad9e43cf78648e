"""Summarise the footers of a lake's files.

A parsed footer takes about 100 kB, so ten thousand of them would take a gigabyte. A summary keeps
what a survey needs. Most files of a lake agree in their schema, so equal schemas, kinds and paths
are kept once and shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa

from onepass.block import IntArray
from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer, partitions, read_footer
from onepass.lake.footer_checks import Contradiction
from onepass.lake.pruning import row_groups
from onepass.partition import Fingerprint
from onepass.selection.tree import Node
from onepass.stream.check_columns import kinds
from onepass.stream.each_file import each_file
from onepass.stream.workers import Workers
from onepass.survey.bad_files import BadFiles

_T = TypeVar("_T")

_MOST_SHARED = 16
"""Maximum number of distinct values that are remembered for sharing."""


@dataclass(frozen=True, slots=True)
class FooterSummary:
    """The facts about one file that a survey takes from its footer."""

    file: LakeFile
    fingerprint: Fingerprint
    schema: pa.Schema
    """Arrow schema of the columns in the file."""
    kinds: dict[str, str]
    """Kind of each column, see `onepass.stream.check_columns.kinds`."""
    contradictions: list[Contradiction]
    """Claims of the footer about columns that cannot be true."""
    paths: list[str]
    """Paths of the flat columns and of the leaves of nested ones."""
    nulls: IntArray
    """Number of nulls at each of `paths`; -1 where the statistics do not tell."""
    n_partitions: int
    """Number of partitions that the file is trained as."""
    n_read: int = 0
    """Number of rows in the row groups of which a row may meet the condition of the job."""

    def is_empty(self, name: str) -> bool:
        """Whether a column has no value, so that its type means nothing."""
        return self.kinds[name] == "null"


def read_summaries(
    files: Sequence[LakeFile], bad: BadFiles, workers: Workers, node: Node | None = None
) -> list[FooterSummary]:
    """Read the footer of each file.

    Parameters
    ----------
    bad
        Files whose footer cannot be read are added here and left out.
    node
        Condition of the job on rows.

    Raises
    ------
    BadPartition
        If a footer cannot be read and bad files are not skipped.
    """
    workers.see(files)
    shared = _Shared()
    found = []
    each = each_file(
        _summarise_or_fail,
        node,
        files,
        workers,
        lambda file: file,
        is_bad=lambda one: isinstance(one, BadPartition),
    )
    # An error keeps this frame. The collector would end the threads later, in whatever thread it
    # runs, and one that is just starting then waits for itself.
    with closing(each) as summaries:
        for one in summaries:
            if isinstance(one, BadPartition):
                bad.add(one)
            else:
                found.append(shared.of(one))
    return found


def null_shares(files: Iterable[FooterSummary]) -> dict[str, float]:
    """Return the share of nulls in the whole lake of each column for which all footers tell it."""
    nulls: Counter[str] = Counter()
    unknown: set[str] = set()
    n_rows = 0
    for one in files:
        n_rows += one.fingerprint.rows
        for path, found in zip(one.paths, one.nulls.tolist(), strict=True):
            if found < 0:
                unknown.add(path)
            else:
                nulls[path] += found
    return {name: n / n_rows for name, n in nulls.items() if name not in unknown}


@dataclass(slots=True)
class _Shared:
    """Values of earlier files, for later files to share."""

    schemas: list[pa.Schema] = field(default_factory=list)
    kinds: list[dict[str, str]] = field(default_factory=list)
    paths: list[list[str]] = field(default_factory=list)

    def of(self, one: FooterSummary) -> FooterSummary:
        """Return a summary with the values of earlier ones where they are equal."""
        return replace(
            one,
            schema=_share(self.schemas, one.schema),
            kinds=_share(self.kinds, one.kinds),
            paths=_share(self.paths, one.paths),
        )


def _summarise_or_fail(node: Node | None, file: LakeFile) -> FooterSummary | BadPartition:
    """Read the footer of a file. Return the error if it is bad."""
    try:
        return _summarise(node, file)
    except BadPartition as error:
        return error


def _summarise(node: Node | None, file: LakeFile) -> FooterSummary:
    footer = read_footer(file)
    rows, groups = footer.row_group_rows(), row_groups(node, file, footer)
    found = list(partitions(file, footer))
    if node is not None:
        found = [one for one in found if row_groups(node, file, footer, one)]
    names, nulls = _count_nulls(footer)
    all_null = np.flatnonzero(nulls == footer.fingerprint.rows)
    return FooterSummary(
        file,
        footer.fingerprint,
        footer.schema,
        kinds(footer.schema, {names[i] for i in all_null}),
        footer.contradictions,
        names,
        nulls,
        len(found),
        sum(rows[group] for group in groups),
    )


def _share(known: list[_T], value: _T) -> _T:
    """Return a known value that equals this one; remember this one if there is none."""
    for other in known:
        if other == value:
            return other
    known[:] = [value, *known[: _MOST_SHARED - 1]]
    return value


def _count_nulls(footer: Footer) -> tuple[list[str], IntArray]:
    """Return the columns of a file and the nulls of each; -1 where the footer does not tell."""
    # A row group without rows has no statistics, which would make the counts unknown.
    filled = np.flatnonzero(footer.row_group_rows())
    counts = footer.chunks.null_counts()[filled]
    # The statistics of a list count its elements, not its rows.
    unknown = (counts < 0).any(axis=0) | ~np.array(footer.chunks.is_flat, bool)
    nulls = np.where(unknown, -1, counts.sum(axis=0))
    if footer.columns is None or not footer.columns.supplied:
        return footer.chunks.columns, nulls
    absent, supplied = footer.columns.absent, list(footer.columns.supplied)
    all_rows = [footer.fingerprint.rows * (name in absent) for name in supplied]
    return [*footer.chunks.columns, *supplied], np.concatenate([nulls, all_rows]).astype(np.int64)
