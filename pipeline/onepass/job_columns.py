"""The fields of a job that say which columns are features, and how their values are read."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from onepass.job_rows import RowFields
from onepass.job_values import assignments, comma_separated
from onepass.time_words import EPOCHS, check_format, find_zone

Tails: TypeAlias = Literal["auto", "keep", "clip", "log"]


class ColumnFields(RowFields):
    """Fields of `onepass.job.Job` about columns."""

    GROUP: ClassVar[str] = "Columns"

    features: list[str] = Field(
        default_factory=list, description="Use these columns only; empty: all but the label."
    )
    exclude: list[str] = Field(default_factory=list, description="Columns to leave out.")
    numeric: list[str] = Field(
        default_factory=list, description="Columns to read as numbers whatever they look like."
    )
    categorical: list[str] = Field(
        default_factory=list, description="Columns to read as categories whatever they look like."
    )
    sparse: list[str] = Field(
        default_factory=list,
        description="Sparse rows in two columns of lists, as indices:values.",
    )
    bag_counts: list[str] = Field(
        default_factory=list,
        description="Columns of lists in which a value counts as often as it occurs, not once.",
    )
    timezone: str | None = Field(
        default=None,
        description="Time zone, such as Europe/Berlin, whose clocks and calendar the cycles of "
        "timestamps follow; unset: the zone that the column has.",
    )
    time_format: dict[str, str] = Field(
        default_factory=dict,
        description="Columns to read as times, each with its format, such as day=%d.%m.%Y, or with "
        "the unit in which its numbers count since 1970, such as at=milliseconds.",
    )
    missing: list[str] = Field(
        default_factory=list,
        description="Further words and numbers that stand for a missing value, such as -999.",
    )
    tails: Tails = Field(
        default="auto",
        description="Treatment of numbers with heavy tails; auto asks the labels of a sample.",
    )
    hash_bits: int | None = Field(
        default=None, ge=1, le=26, description="log2 of the number of hashed weights."
    )

    @field_validator(
        *("features", "exclude", "numeric", "categorical", "sparse", "bag_counts"), mode="before"
    )
    @classmethod
    def _names_may_be_separated_by_commas(cls, value: Any) -> Any:
        return comma_separated(value)

    @field_validator("sparse")
    @classmethod
    def _sparse_rows_name_two_columns(cls, value: list[str]) -> list[str]:
        for pair in value:
            index, colon, numbers = pair.partition(":")
            if not (index and colon and numbers) or ":" in numbers or index == numbers:
                raise ValueError(f"expected two columns, as indices:values, found {pair!r}")
        return value

    @field_validator("missing", mode="before")
    @classmethod
    def _words_may_be_numbers(cls, value: Any) -> Any:
        words = comma_separated(value if isinstance(value, list | str) else [value])
        return [f"{word}" if isinstance(word, int | float | date) else word for word in words]

    @field_validator("timezone")
    @classmethod
    def _time_zone_is_known(cls, value: str | None) -> str | None:
        if value is not None:
            find_zone(value)
        return value

    @field_validator("time_format", mode="before")
    @classmethod
    def _formats_may_be_written_as_assignments(cls, value: Any) -> Any:
        return assignments(value)

    @field_validator("time_format")
    @classmethod
    def _formats_are_known(cls, value: dict[str, str]) -> dict[str, str]:
        for form in value.values():
            if form not in EPOCHS:
                check_format(form)
        return value

    @model_validator(mode="after")
    def _columns_do_not_contradict(self) -> Self:
        pairs = (
            *(("numeric", "categorical"), ("features", "exclude")),
            *(("numeric", "time_format"), ("categorical", "time_format")),
        )
        for one, other in pairs:
            both = sorted(set(getattr(self, one)) & set(getattr(self, other)))
            if both:
                raise ValueError(f"columns {both} are named in both {one!r} and {other!r}")
        taken: dict[str, str] = {}
        for role, name in self.roles.named().items():
            if name in self.features and role != "weight":
                advice = "; write a copy of it for the features" if role == "cluster" else ""
                raise ValueError(f"the {role} {name!r} cannot be a feature as well{advice}")
            if name in taken and {role, taken[name]} != {"cluster", "fold_by"}:
                raise ValueError(f"the {taken[name]} {name!r} cannot be the {role} as well")
            taken[name] = role
        return self
