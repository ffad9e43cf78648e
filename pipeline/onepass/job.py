"""The job: the validated value behind command line flags, job files and the Prefect form."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args, get_origin

from pydantic import ByteSize, Field, field_validator

from onepass.job_penalties import PenaltyFields
from onepass.job_values import distinct_numbers, parse_age, parse_parallel, several_numbers
from onepass.scheduler import scheduler_address
from onepass.selection.rows import Selection
from onepass.wording import know

Solver: TypeAlias = Literal["auto", "newton", "sgd", "adagrad", "nag", "adam", "ftrl", "dog"]


class Job(PenaltyFields):
    """Description of a training: the lake, the label, the options, and where to keep the model.

    The first run freezes the job in the model directory. Later runs may leave out all fields but
    `model`. They may not contradict a frozen field, except those that steer a single run.
    """

    solver: Solver = Field(
        default="auto", description="The learner; auto is newton where the width allows."
    )
    learning_rate: list[float] = Field(
        default_factory=list,
        max_length=64,
        description="Step size of a first-order solver; one pass tries several.",
    )
    schedule: Literal["auto", "constant", "inverse_scaling", "linear"] = Field(
        default="auto", description="Fall of the learning rate; linear reaches 0 as the plan ends."
    )
    averaging: Literal["auto", "none", "polynomial"] = Field(
        default="auto", description="Whether a first-order solver predicts with averaged weights."
    )
    implicit: bool | None = Field(
        default=None, description="Whether steps are implicit, which cannot overshoot."
    )
    minibatch: int = Field(default=1, ge=1, le=4096, description="Rows of one first-order step.")
    half_life: str | None = Field(
        default=None,
        description="Age at which a row counts half, such as '500000 rows' or '30 partitions'.",
    )
    clip: bool = Field(
        default=True, description="Keep regression predictions within the label range seen."
    )
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

    @field_validator("learning_rate", mode="before")
    @classmethod
    def _rates_may_stand_alone_or_be_separated_by_commas(cls, value: Any) -> Any:
        return several_numbers(value)

    @field_validator("learning_rate")
    @classmethod
    def _rates_are_distinct_and_positive(cls, value: list[float]) -> list[float]:
        return distinct_numbers(value, least=0.0, text="a number above 0")

    @field_validator("half_life", mode="before")
    @classmethod
    def _half_life_is_an_age(cls, value: Any) -> str | None:
        return None if value is None else "{:.15g} {}".format(*parse_age(str(value)))

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

    @property
    def half_life_rows(self) -> float | None:
        """The half-life in rows; None if it is unset or counted in partitions."""
        age, unit = parse_age(self.half_life) if self.half_life else (0.0, "")
        return age if unit == "rows" else None

    @property
    def half_life_partitions(self) -> float | None:
        """The half-life in partitions; None if it is unset or counted in rows."""
        age, unit = parse_age(self.half_life) if self.half_life else (0.0, "")
        return age if unit == "partitions" else None


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the words that a field takes, apart from other values."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(word for option in get_args(annotation) for word in _choices(option))


know({name: _choices(field.annotation) for name, field in Job.model_fields.items()})
