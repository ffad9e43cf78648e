"""The job: the validated value behind command line flags, job files and the Prefect form."""

from __future__ import annotations

from inspect import get_annotations
from typing import Any, ClassVar, Literal, get_args, get_origin

from pydantic import ByteSize, Field, field_validator

from onepass.job_rows import RowFields
from onepass.job_solver import SolverFields
from onepass.job_values import parse_parallel
from onepass.scheduler import scheduler_address
from onepass.selection.rows import Selection
from onepass.wording import know


class Job(SolverFields):
    """Description of a training: the lake, the label, the options, and where to keep the model.

    The first run freezes the job in the model directory. Later runs may leave out all fields but
    `model`. They may not contradict a frozen field, except those that steer a single run.
    """

    GROUP: ClassVar[str] = "Order, memory and runs"

    order: Literal["shuffled", "stored"] = Field(
        default="shuffled", description="Order of partitions, row groups and rows."
    )
    interleave: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Partitions mixed into one unit of training, for lakes sorted across files.",
    )
    parallel: int | Literal["auto"] = Field(
        default="auto",
        description="Units of training that are learnt at the same time from one state, 1 to 1024; "
        "auto asks the size of the lake.",
    )
    epochs: int = Field(default=1, ge=1, le=10_000, description="Passes over each partition.")
    seed: int = Field(default=0, ge=0, description="Seed of the shuffled order and the sample.")
    memory_limit: ByteSize = Field(
        default=ByteSize(1 << 30),
        gt=0,
        description="Upper bound of resident memory, such as 800MB or 2GiB.",
    )
    on_bad: Literal["error", "skip", "quarantine"] = Field(
        default="error",
        description="Treatment of a file that cannot be read as expected; quarantine leaves it out "
        "until it is replaced.",
    )
    on_changed: Literal["error", "skip", "retrain"] = Field(
        default="error", description="Treatment of a known file that has other content now."
    )
    check: Literal["look", "content"] = Field(
        default="look",
        description="How a known file is compared: by size and times of change (etag), or by its "
        "footer.",
    )
    max_loss_increase: float | None = Field(
        default=None,
        ge=0,
        description="Largest relative increase of the loss at which a new version becomes the "
        "current one, such as 0.05; unset: every version does.",
    )
    keep_states: int = Field(
        default=3, ge=1, le=10_000, description="Newest versions whose states are kept."
    )
    dask: str | None = Field(
        default=None, description="Address of a Dask scheduler; unset: threads of this process."
    )
    mixed_workers: bool = Field(
        default=False,
        description="Whether workers may have other libraries or processors than this machine.",
    )
    group_seconds: float = Field(
        default=20.0, gt=0, description="Length of one train task of the Prefect flow, in seconds."
    )

    @field_validator("dask", mode="before")
    @classmethod
    def _a_cluster_is_known_by_its_address(cls, value: Any) -> str | None:
        return scheduler_address(value)

    @field_validator("parallel", mode="before")
    @classmethod
    def _parallel_is_automatic_or_a_number(cls, value: Any) -> int | str:
        return parse_parallel(value)

    @property
    def selection(self) -> Selection | None:
        """The rows that are taken; None if all are."""
        missing_is_null = self.on_missing_column == "null"
        return Selection.of(self.where, self.sample, self.seed, missing_is_null)

    @property
    def n_parallel(self) -> int:
        """Most groups that are learnt at the same time; 1 before the automatic choice is made."""
        return 1 if self.parallel == "auto" else self.parallel

    @property
    def has_candidates(self) -> bool:
        """Whether one pass trains several learners, of which the best becomes the model."""
        n_powers = len(self.power) if self.loss == "tweedie" else 1
        return max(1, len(self.learning_rate)) * len(self.l2) * n_powers > 1


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the words that a field takes, apart from other values."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(word for option in get_args(annotation) for word in _choices(option))


def field_groups() -> dict[str, str]:
    """Return the group of each field, in the order of the fields, as help and forms show them."""
    groups: dict[str, str] = {}
    for base in reversed(Job.__mro__):
        if issubclass(base, RowFields):
            own = get_annotations(base)
            groups |= {name: base.GROUP for name in own if name in Job.model_fields}
    return groups


know({name: _choices(field.annotation) for name, field in Job.model_fields.items()})
