"""Partitions and their fingerprints: one identity, shared by lake and ledger.

The types are frozen values, compared and hashed by all their fields. pydantic checks them where a
log is parsed; elsewhere they are plain dataclasses.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import (
    ConfigDict,
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    StrictInt,
    StrictStr,
    model_serializer,
    model_validator,
    with_config,
)

_CLOSED = ConfigDict(extra="forbid")

DELETED, LEFT_OUT_BY_WHERE, LEFT_OUT_BY_SAMPLE = (
    "deleted",
    "left_out_by_where",
    "left_out_by_sample",
)
"""Kinds of rows of a partition that are not taken: deleted by its table, or not selected."""

NOT_TAKEN = (DELETED, LEFT_OUT_BY_WHERE, LEFT_OUT_BY_SAMPLE)


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identity of a file's content, as far as its footer and its store tell."""

    size: StrictInt
    """Length of the file in bytes."""
    footer_sha256: StrictStr
    """Digest of the Parquet footer: schema, row counts, page offsets and statistics."""
    rows: StrictInt
    """Number of rows in the file."""
    row_groups: StrictInt
    """Number of row groups in the file."""
    etag: StrictStr | None = None
    """Name that an object store gives to this content; None on a local disk. Only equality counts.
    """
    deleted: StrictStr | None = None
    """Identity of the set of rows that the table has deleted; None if it has deleted none."""

    @property
    def content(self) -> str:
        """Size, digest and etag in one text."""
        text = f"{self.size}-{self.footer_sha256}" + (f"-{self.etag}" if self.etag else "")
        return text + (f"-without-{self.deleted}" if self.deleted else "")

    @property
    def brief(self) -> str:
        """Rows, size, and the start of the digest, for messages that compare two contents."""
        text = f"{self.rows:,} rows, {self.size:,} bytes, footer {self.footer_sha256[:12]}"
        text += f", etag {self.etag}" if self.etag else ""
        return text + (f", without the rows deleted by {self.deleted}" if self.deleted else "")

    @model_serializer(mode="wrap")
    def _without_missing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Logs have no "etag" for files on a disk. (`exclude_if` needs pydantic 2.12.)
        fields: dict[str, Any] = handler(self)
        for name in ("etag", "deleted"):
            if fields[name] is None:
                del fields[name]
        return fields


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class Partition:
    """The smallest unit of training and of commits: a file, or a row-group range of a large one."""

    path: StrictStr
    """Key of the file within its lake."""
    first_row_group: StrictInt
    """First row group of the range."""
    end_row_group: StrictInt
    """One past the last row group of the range."""
    rows: StrictInt
    """Number of rows in the range."""
    fingerprint: Fingerprint
    """Identity of the whole file."""

    @property
    def name(self) -> str:
        """Path, followed by the row-group range unless it is the whole file."""
        if (self.first_row_group, self.end_row_group) == (0, self.fingerprint.row_groups):
            return self.path
        return f"{self.path}[{self.first_row_group}:{self.end_row_group}]"

    @model_validator(mode="after")
    def _check_ranges(self) -> Partition:
        first, end, whole = self.first_row_group, self.end_row_group, self.fingerprint
        if not 0 <= first <= end <= whole.row_groups:
            raise ValueError(f"row groups {first} to {end} of {whole.row_groups}")
        if not 0 <= self.rows <= whole.rows:
            raise ValueError(f"{self.rows} rows of {whole.rows}")
        return self


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file whose footer could not be read, so that only its path is known."""

    path: StrictStr
    """Key of the file within its lake."""


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class Look:
    """Size, times of change and etag of a file, which a listing or the disk gives without a read.

    A file whose look is the same has not been replaced. All fields are None for a file that is not
    there.
    """

    size: StrictInt | None = None
    """Length of the file in bytes."""
    modified_ns: StrictInt | None = None
    """Time of the last change of the content on a local disk, in nanoseconds of its clock."""
    changed_ns: StrictInt | None = None
    """Time of the last change of content, name or rights on a local disk, in nanoseconds."""
    etag: StrictStr | None = None
    """Name that an object store gives to the content."""

    def is_same(self, other: Look) -> bool:
        """Return whether the file is certainly the same; not if there is only a size to tell."""
        return self == other and (self.changed_ns is not None or self.etag is not None)


Partitions: TypeAlias = Annotated[list[Partition], FailFast()]
"""List of partitions. Validation stops at the first fault, because errors about every element of a
hostile list would take more memory than the list."""


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class Group:
    """Partitions that are learnt and committed together."""

    epoch: Annotated[int, Field(ge=1)]
    """Pass over these partitions, from 1."""
    partitions: Annotated[Partitions, Field(min_length=1)]
    """One partition, or up to `Job.interleave` of them."""

    @property
    def rows(self) -> int:
        """Number of rows in all partitions."""
        return sum(partition.rows for partition in self.partitions)

    def without(self, partitions: Collection[Partition]) -> Group:
        """Return the group without some of its partitions."""
        return Group(self.epoch, [one for one in self.partitions if one not in partitions])
