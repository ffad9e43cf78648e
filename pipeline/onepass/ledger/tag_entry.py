"""One move of a tag, as it is stored: a line of JSON that ends in a seal."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from pydantic import Field, ValidationError, model_validator
from pydantic_core import from_json

from onepass.errors import ForeignModel, JobError
from onepass.ledger.entries import first_fault, is_sealed, unsealed
from onepass.ledger.trained import Value

CURRENT = "current"
"""Tag of the version that predictions use."""

REFUSED = "refused"
"""Tag of the newest version that the guard has refused."""

NEWEST = "newest"
"""Word for the newest version that counts; no tag can have this name."""

NONE = "none"
"""Word for no version; no tag can have this name."""

MAX_TAG_BYTES = 1 << 16
"""Largest entry that is read or written."""

MAX_REASON = 1000
"""Most characters of a reason."""

By: TypeAlias = Literal["user", "run"]
"""Who moved a tag: somebody by hand, or a run."""

_DIGEST = "^[0-9a-f]{64}$"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class TagEntry(Value):
    """One move of one tag."""

    number: int = Field(ge=1)
    """Place in the chain of tags, from 1 without gaps."""
    parent_sha256: str = Field(pattern=_DIGEST)
    """Digest of the entry before; of `model.json` for the first."""
    attempt: str = Field(pattern="^[0-9a-f]{32}$")
    """Random id. A writer whose answer was lost finds its entry by it."""
    time: str = Field(max_length=40)
    """Time of writing, UTC, ISO 8601."""
    name: str
    """The tag."""
    version: int | None = Field(ge=1, lt=10**20)
    """Version that the tag names from now on; None if it is deleted."""
    entry_sha256: str | None = Field(pattern=_DIGEST)
    """Digest of the log entry of that version."""
    head: int = Field(ge=0)
    """Newest version of the log at that time."""
    by: By
    reason: str = Field(default="", max_length=MAX_REASON)
    max_loss_increase: float | None = None
    """Relative increase of the loss that the guard allowed when it refused the version; None for
    other tags."""

    @model_validator(mode="after")
    def _is_consistent(self) -> TagEntry:
        if not is_tag_name(self.name):
            raise ValueError("no name of a tag")
        if (self.version is None) != (self.entry_sha256 is None):
            raise ValueError("a version without its digest, or the other way round")
        return self


def is_tag_name(name: str) -> bool:
    """Return whether a text can be the name of a tag."""
    is_word = name in {NEWEST, NONE} or name.isdecimal()
    return _NAME.fullmatch(name) is not None and not is_word


def check_tag_name(name: str) -> None:
    """Raise `JobError` if a text cannot be the name of a tag."""
    if not is_tag_name(name):
        raise JobError(
            f"a tag has up to 100 letters, digits, '.', '_' and '-', begins with a letter or a "
            f"digit, and is no number, 'newest' or 'none'; found {name[:120]!r}"
        )


def tag_key(number: int) -> str:
    """Return the name of an entry of the chain of tags."""
    return f"tags/{number:020d}.json"


def load_tag(data: bytes, key: str) -> TagEntry:
    """Decode an entry.

    Raises
    ------
    ForeignModel
        If the entry is damaged or written by a newer format.
    """
    if not is_sealed(data):
        raise ForeignModel(f"{key} is damaged: it has no seal")
    try:
        return TagEntry.model_validate(from_json(unsealed(data, key)))
    except ValidationError as error:
        reason = first_fault(error)
    except ValueError as error:
        reason = f"Invalid JSON: {str(error)[:200]}"
    raise ForeignModel(f"{key} is damaged or written by a newer onepass: {reason}")
