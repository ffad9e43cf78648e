"""What tells the partitions of a lake apart: one identity, shared by lake and ledger."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Fingerprint(BaseModel):
    """Identity of a file's content, as far as its footer tells."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    """Length of the file in bytes."""
    footer_sha256: str
    """Digest of the Parquet footer: schema, row counts, page offsets and statistics."""
    rows: int
    """Number of rows in the file."""
    row_groups: int
    """Number of row groups in the file."""
    etag: str | None = None
    """What an object store calls this content; None on a local disk. Compared for equality only."""

    @property
    def content(self) -> str:
        """Size, digest and etag in one text."""
        return f"{self.size}-{self.footer_sha256}" + (f"-{self.etag}" if self.etag else "")

    @property
    def brief(self) -> str:
        """What may differ from another content, for messages."""
        text = f"{self.rows:,} rows, {self.size:,} bytes, footer {self.footer_sha256[:12]}"
        return text + (f", etag {self.etag}" if self.etag else "")

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, handler: SerializerFunctionWrapHandler) -> Any:
        # Ledgers compare partitions as JSON, and older ones know nothing of etags.
        found = handler(self)
        return found if self.etag is not None else {k: v for k, v in found.items() if k != "etag"}


class Partition(BaseModel):
    """The unit of training and of checkpoint: a file, or a row-group range of a large one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Key of the file within its lake."""
    first_row_group: int
    """First row group of the range."""
    end_row_group: int
    """One past the last row group of the range."""
    rows: int
    """Rows in the range."""
    fingerprint: Fingerprint
    """Identity of the whole file."""

    @property
    def name(self) -> str:
        """Path, with the row-group range where it is not the whole file."""
        if (self.first_row_group, self.end_row_group) == (0, self.fingerprint.row_groups):
            return self.path
        return f"{self.path}[{self.first_row_group}:{self.end_row_group}]"

    @property
    def name_and_content(self) -> tuple[str, str]:
        """What makes a partition the same one: its name, and what is known of the content."""
        return (self.name, self.fingerprint.content)
