"""What the log of a model can say, one value per version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.errors import ForeignModel

FORMAT = 1
"""Version of the format of model directories that this code writes."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1)
    """Place in the log, from 1 without gaps."""
    parent_sha256: str
    """Digest of the entry before; of `model.json` for the first."""
    attempt: str
    """Random id of the writer, by which it recognises its own entry after a lost answer."""
    time: str
    """When it was written, UTC, ISO 8601."""


class StateRef(BaseModel):
    """A state file as the log knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    size: int
    sha256: str


class PlannedGroup(BaseModel):
    """Partitions that are learnt and committed as one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = Field(default=1, ge=1)
    """Pass over these partitions, from 1."""
    partitions: list[dict[str, Any]] = Field(min_length=1)
    """`Partition` values as JSON: one, or as many as are interleaved."""


class PlanEntry(_Entry):
    """What a run will train, in order; frozen, so that late files cannot reorder."""

    action: Literal["plan"] = "plan"
    groups: list[PlannedGroup]


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
    partitions: list[dict[str, Any]] = Field(min_length=1)
    """`Partition` values as JSON."""
    rows: int
    """Rows learnt: those of the partitions less those dropped or held out."""
    candidates: list[CandidateEntry] = Field(default_factory=list)
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


class RefineEntry(_Entry):
    """Batch passes over all partitions learnt so far have refined the weights."""

    action: Literal["refine"] = "refine"
    rule: str
    n_passes: int
    """Passes that were allowed."""
    learning_rate: float | None
    """Of gradient descent; None where it was found."""
    losses: list[float]
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
    partition: dict[str, Any]
    """The `Partition` as JSON, as far as it could be read."""
    reason: str


AnyEntry: TypeAlias = PlanEntry | TrainEntry | RefineEntry | SkipEntry

LearntEntry: TypeAlias = TrainEntry | RefineEntry
"""Versions with a state."""

_ADAPTER: TypeAdapter[AnyEntry] = TypeAdapter(Annotated[AnyEntry, Field(discriminator="action")])


def digest(data: bytes) -> str:
    """Hex sha256."""
    return hashlib.sha256(data).hexdigest()


def dump_entry(entry: AnyEntry) -> bytes:
    """One line of JSON."""
    return entry.model_dump_json().encode() + b"\n"


def load_entry(data: bytes, key: str) -> AnyEntry:
    """Parse an entry.

    Raises
    ------
    ForeignModel
        If it is damaged or written by a newer format.
    """
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise ForeignModel(
            f"{key} is damaged or written by a newer onepass: {first['msg']} at {first['loc']}"
        ) from None


def make_entry(action: type[Any], fields: Mapping[str, Any]) -> Any:
    """An entry of a kind, validated."""
    return action.model_validate(dict(fields))
