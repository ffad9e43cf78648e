"""What a survey keeps of each file: of ten thousand parsed footers a gigabyte would be left.

Files of a lake are mostly of one kind, so what they agree in is kept once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onepass.block import IntArray
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer, read_footer
from onepass.lake.footer_checks import Contradiction, null_count
from onepass.partition import Fingerprint
from onepass.stream.check_columns import kinds

_T = TypeVar("_T")

_KINDS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Glance:
    """A file, as far as its footer tells what a survey wants to know."""

    file: LakeFile
    fingerprint: Fingerprint
    schema: pa.Schema
    kinds: dict[str, str]
    """What each column is, see `onepass.stream.check_columns.kinds`."""
    contradictions: list[Contradiction]
    """What the footer claims of columns that cannot be."""
    paths: list[str]
    """Flat columns, and leaves of nested ones."""
    nulls: IntArray
    """Nulls of each of `paths` by the statistics, -1 where these do not tell."""

    def is_empty(self, name: str) -> bool:
        """Whether a column has no value, so that its type means nothing."""
        return self.kinds[name] == "null"


@dataclass(slots=True)
class Glances:
    """Looks at files, and remembers what recent ones have had in common."""

    _schemas: list[pa.Schema] = field(default_factory=list)
    _kinds: list[dict[str, str]] = field(default_factory=list)
    _paths: list[list[str]] = field(default_factory=list)

    def at(self, file: LakeFile) -> Glance:
        """Read the footer of a file.

        Raises
        ------
        BadPartition
            As `read_footer`.
        """
        footer = read_footer(file)
        metadata = footer.metadata
        paths = [metadata.schema.column(i).path for i in _columns(metadata)]
        nulls = _nulls(footer)
        full = np.flatnonzero(nulls == footer.fingerprint.rows)
        # Of a list the statistics count its elements.
        flat = [i for i in full if not metadata.schema.column(int(i)).max_repetition_level]
        return Glance(
            file,
            footer.fingerprint,
            _shared(self._schemas, footer.schema),
            _shared(self._kinds, kinds(footer.schema, {paths[i] for i in flat})),
            footer.contradictions,
            _shared(self._paths, paths),
            nulls,
        )


def _shared(known: list[_T], one: _T) -> _T:
    """An equal one that is known, or else this one, to be known from now on."""
    for other in known:
        if other == one:
            return other
    known[:] = [one, *known[: _KINDS_KEPT - 1]]
    return one


def _columns(metadata: pq.FileMetaData) -> range:
    return range(metadata.num_columns)


def _nulls(footer: Footer) -> IntArray:
    metadata = footer.metadata
    total = np.zeros(metadata.num_columns, np.int64)
    for group in _filled(metadata):
        counts = [null_count(group.column(i)) for i in _columns(metadata)]
        found = np.array([-1 if n is None else n for n in counts], np.int64)
        total = np.where((total < 0) | (found < 0), -1, total + found)
    return total


def _filled(metadata: pq.FileMetaData) -> Iterator[pq.RowGroupMetaData]:
    """Row groups with rows; those without have no statistics either."""
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    return (group for group in groups if group.num_rows)
