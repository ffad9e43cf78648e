"""Entries of a model's log, one per version, and their bytes.

Each entry ends in a seal, the digest of everything before it in the file. The next entry names the
digest of the whole file. The newest entry has no successor, so its seal alone shows a flipped bit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)
from pydantic_core import from_json

from onepass.errors import ForeignModel, JobError
from onepass.ledger.table_mark import TableMark
from onepass.ledger.trained import Trained, Value
from onepass.partition import Group, Look, Partition, Partitions, UnreadFile

FORMAT = 1
"""Version of the format of model directories that this code writes."""

MAX_ENTRY_BYTES = 256 << 20
"""Largest entry that is read or written: a plan of some 700,000 partitions. It bounds the memory
that parsing takes."""

_DIGEST = "^[0-9a-f]{64}$"
_ATTEMPT = "^[0-9a-f]{32}$"

_SEAL = re.compile(rb',"seal":"([0-9a-f]{64})"}\n\Z')
_SEAL_BYTES = 64 + len(b',"seal":""}\n')


class Header(Value):
    """The fields that every entry begins with."""

    version: int = Field(ge=1)
    """Place in the log, from 1 without gaps."""
    parent_sha256: str = Field(pattern=_DIGEST)
    """Digest of the entry before; of `model.json` for the first."""
    attempt: str = Field(pattern=_ATTEMPT)
    """Random id of one attempt to commit. A writer whose answer was lost finds its entry by it."""
    time: str = Field(max_length=40)
    """Time of writing, UTC, ISO 8601."""

    def all_partitions(self) -> Iterator[Partition | UnreadFile]:
        """Iterate over the partitions that the entry names."""
        return iter(())


class StateRef(Value):
    """Name, size and digest of a state file."""

    key: str
    """Name of the file: ``state/``, the version and the attempt. Entries with other names are
    refused, so no other file is ever read or deleted."""
    size: int = Field(ge=0)
    """Length of the file in bytes."""
    sha256: str = Field(pattern=_DIGEST)
    """Digest of the file."""


class PlanEntry(Header):
    """Groups that a run will train, in order; frozen, so that late files cannot reorder them.

    A plan of a table may have no groups: it only says that nothing is new up to a later version.
    """

    action: Literal["plan"] = "plan"
    groups: Annotated[list[Group], FailFast()]
    table: TableMark | None = None
    """Version of the table that this plan settles; None if the lake is no table."""

    def all_partitions(self) -> Iterator[Partition]:
        """Iterate over the partitions that the entry names."""
        return (partition for group in self.groups for partition in group.partitions)

    @model_serializer(mode="wrap")
    def _without_missing_table(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Plans of plain files are written as ever.
        fields: dict[str, Any] = handler(self)
        if self.table is None:
            del fields["table"]
        return fields


class TrainEntry(Trained, Header):
    """A group of partitions, or a round of groups, has been learnt."""

    state: StateRef

    def all_partitions(self) -> Iterator[Partition]:
        """Iterate over the partitions that the entry names."""
        return iter(self.partitions)


class Refined(Value):
    """Record of batch passes over the learnt partitions; its state makes it a `RefineEntry`."""

    action: Literal["refine"] = "refine"
    rule: str
    """Rule of the batch passes: newton, lbfgs or gradient_descent."""
    n_passes: int
    """Number of passes that were allowed."""
    learning_rate: float | None
    """Learning rate of gradient descent that the user gave; None if it was found from the data."""
    losses: Annotated[list[float], FailFast()]
    """Penalised mean loss per row that each pass found, on scaled labels."""
    settled: bool | None = None
    """Whether the passes have ended at the optimum; None if the rule cannot tell, for weights that
    are chosen from a path, and in logs that were written before this was recorded."""
    rows: int
    """Rows of one pass."""
    seconds: float
    """Wall time of all passes."""
    peak_rss_bytes: int
    """Highest resident memory of the process so far."""
    environment: dict[str, str]
    """Versions and machine kind, on which the bytes of the state may depend."""

    @model_serializer(mode="wrap")
    def _without_missing_settled(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A choice from a path is written as ever, so an older onepass reads logs that have one.
        fields: dict[str, Any] = handler(self)
        if self.settled is None:
            del fields["settled"]
        return fields


class RefineEntry(Refined, Header):
    """Batch passes over all partitions learnt so far have refined the weights."""

    state: StateRef


class SkipEntry(Header):
    """One partition is left out in all epochs: for good, or until its file is replaced."""

    action: Literal["skip"] = "skip"
    partition: Partition | UnreadFile
    """The partition, or the file if its footer could not be read."""
    reason: str
    quarantine: Look | None = None
    """Look of the file before it was read, if it is in quarantine: it is taken up again
    once it looks different. None if the partition is left out for good."""

    @property
    def kind(self) -> Literal["quarantine", "skip"]:
        """The word for the entry in lists."""
        return "skip" if self.quarantine is None else "quarantine"

    @property
    def told(self) -> str:
        """The effect of the entry and the reason, in one line."""
        if self.quarantine is None:
            return f"left out: {self.reason}"
        return f"in quarantine until it is replaced: {self.reason}"

    def all_partitions(self) -> Iterator[Partition | UnreadFile]:
        """Iterate over the partitions that the entry names."""
        return iter((self.partition,))

    @model_serializer(mode="wrap")
    def _without_missing_quarantine(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A skip for good is written as ever, so an older onepass reads logs without quarantine.
        fields: dict[str, Any] = handler(self)
        if self.quarantine is None:
            del fields["quarantine"]
        return fields


class RewindEntry(Header):
    """An earlier version counts again; the versions after it stay in the log, but do not count."""

    action: Literal["rewind"] = "rewind"
    to: int = Field(ge=0)
    """The version whose state, trained partitions and pending plan count again; 0 for none."""
    exclude: Annotated[list[str], FailFast()] = Field(default_factory=list)
    """Names and patterns of partitions that the user wants left out from now on."""
    excluded: Partitions = Field(default_factory=list)
    """Partitions that matched at the rewind; a skip entry for each follows."""

    def all_partitions(self) -> Iterator[Partition]:
        """Iterate over the partitions that the entry names."""
        return iter(self.excluded)


AnyEntry: TypeAlias = PlanEntry | TrainEntry | RefineEntry | SkipEntry | RewindEntry

LearntEntry: TypeAlias = TrainEntry | RefineEntry
"""Versions with a state."""

_ADAPTER: TypeAdapter[AnyEntry] = TypeAdapter(Annotated[AnyEntry, Field(discriminator="action")])


def digest(data: bytes) -> str:
    """Return the sha256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def dump_entry(entry: AnyEntry) -> bytes:
    """Encode an entry as one sealed line of JSON.

    Raises
    ------
    JobError
        If the line would be too long to be read again.
    """
    content = entry.model_dump_json().encode()
    if len(content) + _SEAL_BYTES > MAX_ENTRY_BYTES:
        raise JobError(
            f"a {entry.action} entry of {len(content):,} bytes is too large for the log (at most "
            f"{MAX_ENTRY_BYTES:,}); train the lake in parts, with a list of files that grows"
        )
    return sealed(content)


def sealed(content: bytes) -> bytes:
    """Return one JSON object as a line that ends in its seal."""
    return content[:-1] + b',"seal":"' + digest(content).encode() + b'"}\n'


def load_entry(data: bytes, key: str) -> AnyEntry:
    """Decode an entry.

    Raises
    ------
    ForeignModel
        If the entry is damaged or written by a newer format.
    """
    content = unsealed(data, key)
    try:
        # `validate_json` would copy the JSON around each fault into the error.
        entry = _ADAPTER.validate_python(from_json(content, cache_strings="keys"))
    except ValidationError as error:
        reason = first_fault(error)
    except ValueError as error:
        reason = f"Invalid JSON: {str(error)[:200]}"
    else:
        return _consistent(entry, key)
    raise ForeignModel(f"{key} is damaged or written by a newer onepass: {reason}")


def first_fault(error: ValidationError) -> str:
    """Describe the first fault that pydantic found, in a few printable words.

    pydantic quotes its input, which may be megabytes of a stranger's text with control characters.
    """
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    text = f"{fault['msg'][:200]}" + (f" at {where[:200]}" if where else "")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def is_sealed(data: bytes) -> bool:
    """Return whether an entry ends in a seal; the first versions of onepass wrote none."""
    return _SEAL.search(data[-_SEAL_BYTES:]) is not None


def state_key(version: int, attempt: str) -> str:
    """Return the only name that the state of a version can have."""
    return f"state/{version:08d}-{attempt}.npz"


def unsealed(data: bytes, key: str) -> bytes:
    """Return the JSON object that a line seals; a line without a seal is returned as it is.

    Raises
    ------
    ForeignModel
        If the content does not fit its seal.
    """
    seal = _SEAL.search(data[-_SEAL_BYTES:])
    if seal is None:
        if b'"seal"' in data[-2 * _SEAL_BYTES :]:
            raise ForeignModel(f"{key} is damaged: its seal is not as it was written")
        # The first versions wrote no seals. An entry that loses its seal by damage is not JSON.
        return data
    content = data[: -len(seal.group())] + b"}"
    if digest(content).encode() != seal.group(1):
        raise ForeignModel(f"{key} is damaged: its content does not fit its seal")
    return content


def _consistent(entry: AnyEntry, key: str) -> AnyEntry:
    if isinstance(entry, LearntEntry):
        expected = state_key(entry.version, entry.attempt)
        if entry.state.key != expected:
            raise ForeignModel(f"{key} names another state than its own, {expected}")
    if isinstance(entry, RewindEntry) and entry.to >= entry.version:
        raise ForeignModel(f"{key} rewinds to version {entry.to}, which is not before it")
    return entry
