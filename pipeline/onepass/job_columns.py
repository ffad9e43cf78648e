"""The fields of a job that say which columns are features, and how their values are read."""

from __future__ import annotations

from typing import Any, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from onepass.job_rows import RowFields
from onepass.job_values import comma_separated

Tails: TypeAlias = Literal["auto", "keep", "clip", "log"]


class ColumnFields(RowFields):
    """Fields of `onepass.job.Job` about columns."""

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

    @model_validator(mode="after")
    def _columns_do_not_contradict(self) -> Self:
        for one, other in (("numeric", "categorical"), ("features", "exclude")):
            both = sorted(set(getattr(self, one)) & set(getattr(self, other)))
            if both:
                raise ValueError(f"columns {both} are named in both {one!r} and {other!r}")
        if self.label in self.features or self.label == self.weight:
            raise ValueError(f"the label {self.label!r} cannot be a feature or the weight as well")
        return self
