"""Check the columns of all files of a lake before a row is read, and place their partitions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa

from onepass.lake.discover import LakeFile
from onepass.lake.footer import partitions, read_footer
from onepass.lake.pruning import row_groups
from onepass.partition import Fingerprint, Partition
from onepass.stream.check_columns import ColumnCheck, Renamed
from onepass.stream.each_file import each_file
from onepass.stream.readers import Placed
from onepass.stream.reading import Reading
from onepass.stream.sources import Files
from onepass.stream.workers import Workers


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that has the columns that a reading needs.

    It does not keep the parsed footer: the footers of ten thousand files take a gigabyte.
    """

    key: str
    fingerprint: Fingerprint
    partitions: list[Partition]
    """The partitions that may have a row that is read."""
    kept: list[pa.Field]
    """Fields of the columns in `Reading.keep` that the file has."""
    n_deleted: int = 0
    """Number of rows that the file's table has deleted."""

    @property
    def n_rows(self) -> int:
        """Number of rows that the table has."""
        return self.fingerprint.rows - self.n_deleted


@dataclass(frozen=True, slots=True)
class CheckedLake:
    """A lake whose files have been checked."""

    files: list[CheckedFile]
    """The files in the order of their keys."""
    found: Files
    """The same files as they were listed."""
    check: ColumnCheck
    """The check that the files have passed; reading them uses it again."""

    @property
    def n_rows(self) -> int:
        """Number of rows of all files."""
        return sum(file.n_rows for file in self.files)

    def placed(self, file: CheckedFile) -> list[Placed]:
        """Return the partitions of a file, in stored order."""
        return [Placed(one, self.found[file.key]) for one in file.partitions]


def check_files(found: Sequence[LakeFile], reading: Reading, workers: Workers) -> CheckedLake:
    """Read the footers of all files of a lake, and check their columns.

    Raises
    ------
    BadPartition
        If a footer cannot be read, or a column is missing or of another type.
    JobError
        If a worker does not see the lake.
    """
    check = ColumnCheck(
        reading.encoder.schema,
        label=reading.label,
        keep=reading.keep,
        selection=reading.selection,
    )
    look = _Look(check, reading.keep)
    workers.see(found)
    files = []
    with closing(each_file(_checked, look, found, workers, lambda file: file)) as each:
        for file, renamed in each:
            check.warn(renamed)
            files.append(file)
    return CheckedLake(files, {file.key: file for file in found}, check)


@dataclass(frozen=True, slots=True)
class _Look:
    check: ColumnCheck
    keep: tuple[str, ...]


def _checked(look: _Look, file: LakeFile) -> tuple[CheckedFile, list[Renamed]]:
    footer = read_footer(file)
    renamed = look.check.compare(file, footer)
    kept = [found for name in look.keep if (found := footer.field(name)) is not None]
    node = None if look.check.selection is None else look.check.selection.node
    parts = [one for one in partitions(file, footer) if row_groups(node, file, footer, one)]
    deleted = None if file.view is None else file.view.deleted
    n_deleted = 0 if deleted is None else deleted.n_rows
    return CheckedFile(file.key, footer.fingerprint, parts, kept, n_deleted), renamed
