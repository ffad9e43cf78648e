"""The fields of a job that hold weights back: penalties and constraints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator

from onepass.job_loss import LossFields
from onepass.job_values import absolute, distinct_numbers, listed_assignments, several_numbers

Order: TypeAlias = Literal["increasing", "decreasing"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint on the coefficients of one column."""

    low: float = -math.inf
    """Least coefficient, in the unit of the column."""
    high: float = math.inf
    order: Order | None = None
    """Order of the effects along a curve, bins or levels; None if they are only bounded."""


class PenaltyFields(LossFields):
    """Fields of `onepass.job.Job` about penalties and constraints."""

    GROUP: ClassVar[str] = "Penalties and constraints"

    l2: list[float] = Field(
        default=[0.0],
        min_length=1,
        max_length=64,
        description="L2 penalty per row on standardised features; one pass tries several.",
    )
    l1: float = Field(
        default=0.0,
        ge=0,
        description="L1 penalty per row on standardised features, of newton and ftrl; it makes "
        "weights exactly 0.",
    )
    penalty_factor: dict[str, float] = Field(
        default_factory=dict,
        description="Columns with a multiple of both penalties, such as age=0.5,rate=2; 0: "
        "unpenalised.",
    )
    constraint: dict[str, str] = Field(
        default_factory=dict,
        description="Columns with a constraint on their coefficients: positive, negative, bounds "
        "such as 0..2, increasing or decreasing; such as age=increasing,rate=0..2.",
    )
    prior: str | None = Field(
        default=None,
        description="Model directory to whose coefficients, in place of 0, the L2 penalty pulls.",
    )

    @field_validator("l2", mode="before")
    @classmethod
    def _penalties_may_stand_alone_or_be_separated_by_commas(cls, value: Any) -> Any:
        return several_numbers(value)

    @field_validator("l2")
    @classmethod
    def _penalties_are_distinct_and_in_range(cls, value: list[float]) -> list[float]:
        return distinct_numbers(value, least=0.0, is_open=False, text="a number of at least 0")

    @field_validator("penalty_factor", "constraint", mode="before")
    @classmethod
    def _columns_have_values(cls, value: Any) -> Any:
        return {} if value is None else listed_assignments(value)

    @field_validator("penalty_factor")
    @classmethod
    def _factors_are_not_negative(cls, value: dict[str, float]) -> dict[str, float]:
        for name, factor in value.items():
            if not 0 <= factor < math.inf:
                raise ValueError(
                    f"expected a factor of at least 0 for column {name!r}, found {factor:g}"
                )
        return value

    @field_validator("constraint")
    @classmethod
    def _constraints_can_be_met(cls, value: dict[str, str]) -> dict[str, str]:
        for text in value.values():
            parse_constraint(text)
        return {name: text.strip() for name, text in value.items()}

    @field_validator("prior", mode="before")
    @classmethod
    def _prior_is_a_place(cls, value: Any) -> Any:
        return absolute(value)

    @property
    def constraints(self) -> dict[str, Constraint]:
        """The constraint of each column that has one."""
        return {name: parse_constraint(text) for name, text in self.constraint.items()}


def parse_constraint(text: str) -> Constraint:
    """Parse ``positive``, ``negative``, ``increasing``, ``decreasing``, or bounds such as ``0..2``.

    One of the bounds may be left out, as in ``..2``.

    Raises
    ------
    ValueError
        If the text is none of these.
    """
    match text.strip():
        case "positive":
            return Constraint(low=0.0)
        case "negative":
            return Constraint(high=0.0)
        case "increasing":
            return Constraint(order="increasing")
        case "decreasing":
            return Constraint(order="decreasing")
    low, mark, high = text.strip().partition("..")
    try:
        found = Constraint(float(low or "-inf"), float(high or "inf"))
    except ValueError:
        mark, found = "", Constraint()
    if not (mark and (low or high) and found.low < found.high):
        raise ValueError(
            "expected positive, negative, increasing, decreasing, or bounds such as 0..2, "
            f"found {text!r}"
        )
    return found
