"""Compare a file with its content in the log, by its footer: here, in threads or on a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import is_unchanged, partitions, read_footer
from onepass.lake.pruning import row_groups
from onepass.partition import Fingerprint, Look, Partition
from onepass.stream.check_columns import ColumnCheck, Renamed


@dataclass(frozen=True, slots=True)
class Asked:
    """A file whose footer is to be read."""

    file: LakeFile
    look: Look
    """Size and times or etag of the file, as listed before its footer is read."""
    settled: Fingerprint | None
    """Content of which everything is trained, planned or skipped; None if there is no such."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Columns and settings that all files of a plan are compared with."""

    check: ColumnCheck
    split_bytes: int
    """See `onepass.lake.footer.partitions`."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the footer of a file tells."""

    content: Fingerprint
    partitions: list[Partition]
    matching: list[Partition]
    """Those of the partitions of which a row may meet the condition of the job."""
    renamed: list[Renamed]
    """Columns that may be renamed in the file."""
    fault: BadPartition | None
    """What is wrong with its columns, which matters only if anything of it is new."""


def compared(shared: Comparison, asked: Asked) -> Found | BadPartition | None:
    """Read the footer of a file; None if it still has its settled content.

    The error of a file whose footer cannot be read is returned, because the files before it must be
    dealt with first.
    """
    if asked.settled is not None and is_unchanged(asked.file, asked.settled):
        return None
    try:
        footer = read_footer(asked.file)
    except BadPartition as error:
        return error
    parts = list(partitions(asked.file, footer, shared.split_bytes))
    node = None if shared.check.selection is None else shared.check.selection.node
    matching = [one for one in parts if row_groups(node, asked.file, footer, one)]
    renamed: list[Renamed] = []
    fault = None
    try:
        renamed = shared.check.compare(asked.file, footer)
    except BadPartition as error:
        fault = error
    return Found(footer.fingerprint, parts, matching, renamed, fault)


def is_fault(found: Found | BadPartition | None) -> bool:
    """Return whether a file is bad; a worker may only have lost its way to the lake."""
    return isinstance(found, BadPartition)
