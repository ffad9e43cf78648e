"""Planned partitions in their files, compared with the fingerprints that they were planned with."""

from __future__ import annotations

from onepass.errors import BadPartition, ChangedPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import is_unchanged, read_footer
from onepass.lake.rotation import Source
from onepass.partition import Group, Partition
from onepass.text import printable
from onepass.training.plan import gone


def sources_of(group: Group, files: dict[str, LakeFile]) -> list[Source]:
    """The partitions of a group in their files; raises as `source_of`."""
    return [source_of(partition, files) for partition in group.partitions]


def source_of(partition: Partition, files: dict[str, LakeFile]) -> Source:
    """A partition in its file, after that has been compared with its fingerprint.

    Raises
    ------
    BadPartition, ChangedPartition
        If the file is gone, unreadable or another one now.
    """
    file = files.get(partition.path)
    if file is None:
        raise gone(partition.path)
    footer = read_footer(file)
    if footer.fingerprint != partition.fingerprint:
        raise ChangedPartition(
            f"{printable(partition.path)} has changed since it was planned\n"
            "Put the old file back, or choose --on-changed skip or retrain.",
            path=partition.path,
        )
    return Source(partition, file, footer)


def check_unchanged(partition: Partition, files: dict[str, LakeFile]) -> None:
    """Compare a partition's file with its fingerprint, and no more; raises as `source_of`."""
    file = files.get(partition.path)
    if file is None or not is_unchanged(file, partition.fingerprint):
        source_of(partition, files)


def is_at_fault(partition: Partition, error: BadPartition | ChangedPartition) -> bool:
    """Whether an error tells of this partition, and not of another one of the same file."""
    row_group = error.row_group if isinstance(error, BadPartition) else None
    is_within = row_group is None or (
        partition.first_row_group <= row_group < partition.end_row_group
    )
    return partition.path == error.path and is_within
