"""Find partitions in their files, and compare the files with the partitions' fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from onepass.errors import BadPartition, ChangedPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer, is_unchanged, read_footer
from onepass.lake.pruning import filled_groups, row_groups
from onepass.lake.rotation import Source
from onepass.partition import Partition
from onepass.selection.rows import Selection
from onepass.stream.check_columns import ColumnCheck
from onepass.text import printable

Files = Mapping[str, LakeFile]
"""Files of a lake by key; those that a table had before, by `past_key`."""


def past_key(partition: Partition) -> str:
    """Return the key of a partition's file among the files that a table had before.

    The table may have a file of the same key, of which other rows are deleted.
    """
    return f"{partition.path}\0{partition.fingerprint.deleted}"


def file_of(partition: Partition, files: Files) -> LakeFile | None:
    """Return the file of a partition; None if the lake does not have it."""
    return files.get(past_key(partition)) or files.get(partition.path)


def open_sources(
    partitions: Iterable[Partition], files: Files, checks: Sequence[ColumnCheck]
) -> Sequence[Source]:
    """Find partitions in their files, in the same order; see `open_source`.

    Parameters
    ----------
    checks
        Those of all models for which the partitions are read.
    """
    first, *others = checks
    found = [open_source(partition, files, first) for partition in partitions]
    for check in others:
        for source in found:
            check(source.file, source.footer)
    return found


def open_source(partition: Partition, files: Files, check: ColumnCheck) -> Source:
    """Find a partition in its file, and compare the file with the partition's fingerprint.

    Parameters
    ----------
    check
        Checks the columns of the file, unless it has checked the same content before.

    Raises
    ------
    BadPartition, ChangedPartition
        If the file is gone, unreadable, has changed, or lacks the columns.
    """
    file = file_of(partition, files)
    if file is None:
        raise gone(partition.path)
    footer = read_footer(file)
    if footer.fingerprint != partition.fingerprint:
        raise ChangedPartition(
            f"{printable(partition.path)} has changed since it was planned\n"
            "Put the old file back, or choose --on-changed skip or retrain.",
            path=partition.path,
        )
    check(file, footer)
    return Source(partition, file, footer, _left(partition, file, footer, check.selection))


def _left(
    partition: Partition, file: LakeFile, footer: Footer, selection: Selection | None
) -> tuple[int, ...] | None:
    """Return the row groups to read of a partition; None for all."""
    node = None if selection is None else selection.node
    if node is None:
        return None
    # When the partition was planned, rows of it might meet the condition. A later version of
    # onepass may prove that none do: it then reads the first row group, whose rows decide.
    found = row_groups(node, file, footer, partition)
    return tuple(found or filled_groups(footer, partition)[:1])


def check_unchanged(partitions: Iterable[Partition], files: Files, check: ColumnCheck) -> None:
    """Compare files with fingerprints; parse a footer only to raise the error of `open_source`."""
    for partition in partitions:
        file = file_of(partition, files)
        if file is None or not is_unchanged(file, partition.fingerprint):
            open_source(partition, files, check)


def gone(path: str) -> BadPartition:
    """Return the error for a planned file that has been removed."""
    return BadPartition(
        "planned, but no longer in the lake",
        path=path,
        advice="Put it back, or go on without it: --on-bad skip.",
    )
