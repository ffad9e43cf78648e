"""The fields of a job that say how is learnt: the solver and its steps."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator

from onepass.job_penalties import PenaltyFields
from onepass.job_values import distinct_numbers, parse_age, several_numbers

Solver: TypeAlias = Literal["auto", "newton", "sgd", "adagrad", "nag", "adam", "ftrl", "dog"]


class SolverFields(PenaltyFields):
    """Fields of `onepass.job.Job` about the solver."""

    GROUP: ClassVar[str] = "Solver"

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
