"""Check the columns of all files of a lake before a row is read, and group files to stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from onepass.lake.discover import LakeFile
from onepass.lake.footer import partitions, read_footer
from onepass.partition import Fingerprint, Partition
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.reading import Reading
from onepass.stream.sources import Files, open_sources
from onepass.stream.stream import ReadGroup


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that has the columns that a reading needs.

    It does not keep the parsed footer: the footers of ten thousand files take a gigabyte.
    """

    key: str
    fingerprint: Fingerprint
    partitions: list[Partition]
    kept: list[pa.Field]
    """Fields of the columns in `Reading.keep` that the file has."""


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
        return sum(file.fingerprint.rows for file in self.files)

    def groups(self, file: CheckedFile) -> list[ReadGroup]:
        """Return a group to stream for each partition of a file."""
        return [
            ReadGroup(partial(open_sources, [one], self.found, self.check))
            for one in file.partitions
        ]


def check_files(found: Sequence[LakeFile], reading: Reading) -> CheckedLake:
    """Read the footers of all files of a lake, and check their columns.

    Raises
    ------
    BadPartition
        If a footer cannot be read, or a column is missing or of another type.
    """
    check = ColumnCheck(reading.encoder.schema, label=reading.label, keep=reading.keep)
    files = []
    for file in found:
        footer = read_footer(file)
        check(file, footer)
        kept = [footer.schema.field(name) for name in reading.keep if name in footer.schema.names]
        files.append(
            CheckedFile(file.key, footer.fingerprint, list(partitions(file, footer)), kept)
        )
    return CheckedLake(files, {file.key: file for file in found}, check)
