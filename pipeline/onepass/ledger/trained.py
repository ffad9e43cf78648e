"""The record of a group, or of a round of groups, that has been learnt."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from onepass.partition import Group, Partitions


class Value(BaseModel):
    """Base of the values of a log."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CandidateEntry(Value):
    """Standing of one of several learners on the held-out rows."""

    learning_rate: float | None
    l2: float
    loss: float | None
    """Mean loss per held-out row, on scaled labels; None before the first or after divergence."""
    chosen: bool
    power: float | None = None
    """Power of the variance of tweedie loss; None for other losses."""


class LastTenth(Value):
    """Progressive metrics of the last rows of a group or a run: a tenth of them, or some more."""

    rows: int
    loss: float | None
    metrics: dict[str, float | None]


class Trained(Value):
    """Record of a group that has been learnt; its state makes it a `TrainEntry`."""

    action: Literal["train"] = "train"
    epoch: int = Field(default=1, ge=1)
    """Pass over these partitions, from 1."""
    partitions: Partitions = Field(min_length=1)
    """The partitions of the group, or of all groups of the round."""
    round: Annotated[list[Annotated[int, Field(ge=1)]], FailFast()] = Field(default_factory=list)
    """Number of partitions of each group, if several groups were learnt from the same state and
    merged; empty for one group."""
    rows: int
    """Number of rows learnt: rows of the partitions, without dropped and held-out rows."""
    candidates: Annotated[list[CandidateEntry], FailFast()] = Field(default_factory=list)
    """Scores of the candidates; empty for a single learner."""
    counts: dict[str, int]
    """Dropped rows and treated values by kind."""
    loss: float | None
    """Progressive loss of the group, each row predicted before it was learnt."""
    metrics: dict[str, float | None]
    """Progressive metrics of the group."""
    last_tenth: LastTenth | None = None
    """Progressive metrics of the group's last rows; None for few rows, and in older models."""
    seconds: float
    """Wall time from the first read to the finished state."""
    peak_rss_bytes: int
    """Highest resident memory of the process so far."""
    environment: dict[str, str]
    """Library versions and kind of machine, on which the bytes of the state may depend."""

    @property
    def groups(self) -> list[Group]:
        """The groups in the order in which they were merged."""
        partitions = iter(self.partitions)
        sizes = self.round or [len(self.partitions)]
        return [Group(self.epoch, list(islice(partitions, size))) for size in sizes]

    @model_validator(mode="after")
    def _round_has_all_partitions(self) -> Trained:
        if self.round and (len(self.round) == 1 or sum(self.round) != len(self.partitions)):
            raise ValueError(f"a round of {self.round[:20]} of {len(self.partitions)} partitions")
        return self

    @model_serializer(mode="wrap")
    def _without_missing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The logs of older models have neither field. (`exclude_if` needs pydantic 2.12.)
        fields: dict[str, Any] = handler(self)
        return {
            name: value
            for name, value in fields.items()
            if value or name not in {"last_tenth", "round"}
        }
