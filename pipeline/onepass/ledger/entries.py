"""What the log of a model can say, one value per version.

Each entry ends in a seal, the digest of what stands before it. The next entry names the digest of
the whole, but nothing would tell of a bit that has flipped in the newest one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    GetPydanticSchema,
    TypeAdapter,
    ValidationError,
    with_config,
)
from pydantic_core import from_json
from typing_extensions import TypedDict

from onepass.errors import ForeignModel, JobError

FORMAT = 1
"""Version of the format of model directories that this code writes."""

MAX_ENTRY_BYTES = 256 << 20
"""Size of an entry: a plan of some 700,000 partitions, and no more than memory can take."""

_DIGEST = "^[0-9a-f]{64}$"
_ATTEMPT = "^[0-9a-f]{32}$"

_SEAL = re.compile(rb',"seal":"([0-9a-f]{64})"}\n\Z')
_SEAL_BYTES = 64 + len(b',"seal":""}\n')

_AS_WRITTEN = ConfigDict(extra="forbid", strict=True)


@with_config(_AS_WRITTEN)
class _Fingerprint(TypedDict):
    size: int
    footer_sha256: str
    rows: int
    row_groups: int
    etag: NotRequired[str | None]


@with_config(_AS_WRITTEN)
class _Unreadable(TypedDict):
    path: str


@with_config(_AS_WRITTEN)
class _Partition(_Unreadable):
    first_row_group: int
    end_row_group: int
    rows: int
    fingerprint: _Fingerprint


# Dictionaries in any case; those of another shape are refused here, because groups of empty ones
# would take forty times the size of the file.
_AnyPartition: TypeAlias = Annotated[
    dict[str, Any], GetPydanticSchema(lambda _, handler: handler(_Partition))
]
_Skipped: TypeAlias = Annotated[
    dict[str, Any], GetPydanticSchema(lambda _, handler: handler(_Partition | _Unreadable))
]

_Partitions: TypeAlias = Annotated[list[_AnyPartition], FailFast()]
"""`Partition` values as JSON. One fault is enough: a list of them would outgrow the file."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1)
    """Place in the log, from 1 without gaps."""
    parent_sha256: str = Field(pattern=_DIGEST)
    """Digest of the entry before; of `model.json` for the first."""
    attempt: str = Field(pattern=_ATTEMPT)
    """Random id of the writer, by which it recognises its own entry after a lost answer."""
    time: str = Field(max_length=40)
    """When it was written, UTC, ISO 8601."""

    def all_partitions(self) -> Iterator[dict[str, Any]]:
        """Every partition that it names."""
        return iter(())


class StateRef(BaseModel):
    """A state file as the log knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    """``state/``, the version, the attempt: nothing else is ever read or removed by this name."""
    size: int = Field(ge=0)
    sha256: str = Field(pattern=_DIGEST)


class PlannedGroup(BaseModel):
    """Partitions that are learnt and committed as one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = Field(default=1, ge=1)
    """Pass over these partitions, from 1."""
    partitions: _Partitions = Field(min_length=1)
    """One, or as many as are interleaved."""


class PlanEntry(_Entry):
    """What a run will train, in order; frozen, so that late files cannot reorder."""

    action: Literal["plan"] = "plan"
    groups: Annotated[list[PlannedGroup], FailFast()]

    def all_partitions(self) -> Iterator[dict[str, Any]]:
        """Every partition that it names."""
        return (partition for group in self.groups for partition in group.partitions)


class CandidateEntry(BaseModel):
    """How one of several learners does on the held-out rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float | None
    l2: float
    loss: float | None
    """Mean loss per held-out row, on scaled labels; None before the first or after divergence."""
    chosen: bool


class TrainEntry(_Entry):
    """A group of partitions has been learnt."""

    action: Literal["train"] = "train"
    epoch: int = Field(default=1, ge=1)
    """Pass over these partitions, from 1."""
    partitions: _Partitions = Field(min_length=1)
    """`Partition` values as JSON."""
    rows: int
    """Rows learnt: those of the partitions less those dropped or held out."""
    candidates: Annotated[list[CandidateEntry], FailFast()] = Field(default_factory=list)
    """Learners that are tried side by side; empty for one."""
    counts: dict[str, int]
    """Dropped rows and treated values by kind."""
    loss: float | None
    """Progressive loss of the group, each row predicted before it was learnt."""
    metrics: dict[str, float | None]
    """Progressive metrics of the group."""
    seconds: float
    """Wall time from the first read to the finished state."""
    peak_rss_bytes: int
    """Highest resident memory of the process so far."""
    environment: dict[str, str]
    """Versions and machine kind, on which the bytes of the state may depend."""
    state: StateRef

    def all_partitions(self) -> Iterator[dict[str, Any]]:
        """Every partition that it names."""
        return iter(self.partitions)


class RefineEntry(_Entry):
    """Batch passes over all partitions learnt so far have refined the weights."""

    action: Literal["refine"] = "refine"
    rule: str
    n_passes: int
    """Passes that were allowed."""
    learning_rate: float | None
    """Of gradient descent; None where it was found."""
    losses: Annotated[list[float], FailFast()]
    """Penalised mean loss per row that each pass found, on scaled labels."""
    rows: int
    """Rows of one pass."""
    seconds: float
    peak_rss_bytes: int
    environment: dict[str, str]
    state: StateRef


class SkipEntry(_Entry):
    """One partition is left out for good, in all epochs."""

    action: Literal["skip"] = "skip"
    partition: _Skipped
    """The `Partition` as JSON, as far as it could be read."""
    reason: str

    def all_partitions(self) -> Iterator[dict[str, Any]]:
        """Every partition that it names."""
        return iter((self.partition,))


class RewindEntry(_Entry):
    """Back to an earlier version: what came after it no longer counts, but stays in the log."""

    action: Literal["rewind"] = "rewind"
    to: int = Field(ge=0)
    """The version whose state, trained partitions and pending plan count again; 0 for none."""
    exclude: Annotated[list[str], FailFast()] = Field(default_factory=list)
    """Names and patterns of partitions that the user wants left out from now on."""
    excluded: _Partitions = Field(default_factory=list)
    """Partitions that fitted at the time; a skip entry for each follows."""

    def all_partitions(self) -> Iterator[dict[str, Any]]:
        """Every partition that it names."""
        return iter(self.excluded)


AnyEntry: TypeAlias = PlanEntry | TrainEntry | RefineEntry | SkipEntry | RewindEntry

LearntEntry: TypeAlias = TrainEntry | RefineEntry
"""Versions with a state."""

_ADAPTER: TypeAdapter[AnyEntry] = TypeAdapter(Annotated[AnyEntry, Field(discriminator="action")])


def digest(data: bytes) -> str:
    """Hex sha256."""
    return hashlib.sha256(data).hexdigest()


def dump_entry(entry: AnyEntry) -> bytes:
    """One line of JSON, sealed.

    Raises
    ------
    JobError
        If it would be too large to be read again.
    """
    content = entry.model_dump_json().encode()
    if len(content) + _SEAL_BYTES > MAX_ENTRY_BYTES:
        raise JobError(
            f"a {entry.action} entry of {len(content):,} bytes is too large for the log (at most "
            f"{MAX_ENTRY_BYTES:,}); train the lake in parts, with a list of files that grows"
        )
    return content[:-1] + b',"seal":"' + digest(content).encode() + b'"}\n'


def load_entry(data: bytes, key: str) -> AnyEntry:
    """Parse an entry.

    Raises
    ------
    ForeignModel
        If it is damaged or written by a newer format.
    """
    content = _unsealed(data, key)
    try:
        # Not at once: of JSON, each fault would get a copy of all that stands around it.
        entry = _ADAPTER.validate_python(from_json(content, cache_strings="keys"))
    except ValidationError as error:
        reason = first_fault(error)
    except ValueError as error:
        reason = f"Invalid JSON: {str(error)[:200]}"
    else:
        return _consistent(entry, key)
    raise ForeignModel(f"{key} is damaged or written by a newer onepass: {reason}")


def first_fault(error: ValidationError) -> str:
    """What is wrong in a few words; what a stranger wrote is cut short and cannot steer a terminal.

    pydantic quotes what it has found, be it megabytes.
    """
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    text = f"{fault['msg'][:200]}" + (f" at {where[:200]}" if where else "")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def is_sealed(data: bytes) -> bool:
    """Whether an entry ends in a seal; the first onepass wrote none."""
    return _SEAL.search(data[-_SEAL_BYTES:]) is not None


def state_key(version: int, attempt: str) -> str:
    """The one name that the state of a version can have."""
    return f"state/{version:08d}-{attempt}.npz"


def _unsealed(data: bytes, key: str) -> bytes:
    seal = _SEAL.search(data[-_SEAL_BYTES:])
    if seal is None:
        if b'"seal"' in data[-2 * _SEAL_BYTES :]:
            raise ForeignModel(f"{key} is damaged: its seal is not as it was written")
        # The first onepass wrote no seals; an entry that lost its seal by accident is not JSON.
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


def make_entry(action: type[Any], fields: Mapping[str, Any]) -> Any:
    """An entry of a kind, validated."""
    return action.model_validate(dict(fields))
