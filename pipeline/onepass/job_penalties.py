"""The fields of a job that hold weights back: penalties."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from onepass.job_loss import LossFields
from onepass.job_values import distinct_numbers, several_numbers


class PenaltyFields(LossFields):
    """Fields of `onepass.job.Job` about penalties."""

    l2: list[float] = Field(
        default=[0.0],
        min_length=1,
        max_length=64,
        description="L2 penalty per row on standardised features; one pass tries several.",
    )
    l1: float = Field(default=0.0, ge=0, description="L1 penalty per row of ftrl.")

    @field_validator("l2", mode="before")
    @classmethod
    def _penalties_may_stand_alone_or_be_separated_by_commas(cls, value: Any) -> Any:
        return several_numbers(value)

    @field_validator("l2")
    @classmethod
    def _penalties_are_distinct_and_in_range(cls, value: list[float]) -> list[float]:
        return distinct_numbers(value, least=0.0, is_open=False, text="a number of at least 0")
