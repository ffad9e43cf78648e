"""The fields of a job that say what is minimised: the loss, and what it needs to know."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from onepass.job_shapes import ShapeFields
from onepass.job_values import LossName, comma_separated, distinct_numbers, several_numbers


class LossFields(ShapeFields):
    """Fields of `onepass.job.Job` about the loss."""

    loss: LossName = Field(
        default="auto", description="Loss to minimise; auto chooses it by the label."
    )
    quantile: list[float] = Field(
        default=[0.5],
        min_length=1,
        max_length=1000,
        description="Quantiles of quantile loss, above 0 and below 1; one pass learns several.",
    )
    delta: float | None = Field(
        default=None,
        gt=0,
        description="Residual at which huber loss turns linear; unset: a scale of the label.",
    )
    classes: list[str] = Field(
        default_factory=list,
        description="Classes of the label; empty: those of the lake.",
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _classes_may_be_separated_by_commas(cls, value: Any) -> Any:
        return comma_separated(value)

    @field_validator("quantile", mode="before")
    @classmethod
    def _quantiles_may_stand_alone_or_be_separated_by_commas(cls, value: Any) -> Any:
        return several_numbers(value)

    @field_validator("quantile")
    @classmethod
    def _quantiles_are_distinct_and_in_range(cls, value: list[float]) -> list[float]:
        text = "a number above 0 and below 1"
        return sorted(distinct_numbers(value, least=0.0, below=1.0, text=text))
