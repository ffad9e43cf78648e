"""The fields of a job that say what is minimised: the loss, and what it needs to know."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from onepass.job_shapes import ShapeFields
from onepass.job_values import (
    LossName,
    comma_separated,
    distinct_numbers,
    parse_class_weight,
    several_numbers,
)

LARGEST_CLASS_WEIGHT = 1e6
"""Largest factor of the weight of a class."""


LOSS_OF: dict[str, LossName] = {
    "quantile": "quantile",
    "delta": "huber",
    "power": "tweedie",
    "overdispersion": "negative_binomial",
}
"""Fields that belong to a single loss, each with that loss."""


class LossFields(ShapeFields):
    """Fields of `onepass.job.Job` about the loss."""

    GROUP: ClassVar[str] = "Loss"

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
    power: list[float] = Field(
        default=[1.5],
        min_length=1,
        max_length=64,
        description="Power of the mean that the variance of tweedie loss follows, above 1 and "
        "below 2; one pass tries several.",
    )
    overdispersion: float | None = Field(
        default=None,
        ge=1e-6,
        le=1e4,
        description="The a in the variance m + a m^2 of negative_binomial loss about its mean m; "
        "unset: estimated.",
    )
    classes: list[str] = Field(
        default_factory=list,
        description="Classes of the label; empty: those of the lake.",
    )

    class_weight: Literal["balanced"] | dict[str, float] = Field(
        default_factory=dict,
        description="Factors of the weights of rows by class, such as no=1,yes=5; balanced: all "
        "classes weigh the same in the sample.",
    )

    @field_validator("class_weight", mode="before")
    @classmethod
    def _weights_may_be_written_as_assignments(cls, value: Any) -> Any:
        return parse_class_weight(value)

    @field_validator("class_weight")
    @classmethod
    def _weights_are_positive(cls, value: Any) -> Any:
        for name, weight in value.items() if isinstance(value, dict) else ():
            if not 0 < weight <= LARGEST_CLASS_WEIGHT:
                text = f"a weight above 0 and up to {LARGEST_CLASS_WEIGHT:g}"
                raise ValueError(f"expected {text} for class {name!r}, found {weight:g}")
        return value

    @field_validator("power", mode="before")
    @classmethod
    def _powers_may_stand_alone_or_be_separated_by_commas(cls, value: Any) -> Any:
        return several_numbers(value)

    @field_validator("power")
    @classmethod
    def _powers_are_distinct_and_in_range(cls, value: list[float]) -> list[float]:
        text = "a number above 1 and below 2"
        return sorted(distinct_numbers(value, least=1.0, below=2.0, text=text))

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
