"""The fields of a job that say which rows are learnt: the lake, the label, and what is left out."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from onepass.job_holdout import RollingHoldout, parse_holdout
from onepass.job_values import Roles, absolute
from onepass.selection.parse import parse_where


class RowFields(BaseModel):
    """Fields of `onepass.job.Job` about the lake and its rows."""

    GROUP: ClassVar[str] = "Lake, label and rows"

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        # pydantic would print a refused URL, which may hold a secret.
        hide_input_in_errors=True,
    )

    lake: str | list[str] = Field(
        description="Directory, glob, file, URL, Delta or Iceberg table, or list of files with the "
        "Parquet rows to train on."
    )
    as_files: bool = Field(
        default=False,
        description="Read all Parquet files of a Delta or Iceberg table, as if it were none.",
    )
    lake_version: int | None = Field(
        default=None,
        ge=0,
        description="Version of the Delta table, or snapshot of the Iceberg table, to read; unset: "
        "the newest.",
    )
    lake_timestamp: str | None = Field(
        default=None,
        max_length=64,
        description="Read the table as it was at this time, ISO 8601; unset: as it is now.",
    )
    label: str = Field(min_length=1, description="Column to predict.")
    model: str = Field(
        min_length=1, description="Model directory or URL; created by the first run."
    )
    holdout: str | list[str] | RollingHoldout | None = Field(
        default=None,
        description="Another lake to evaluate the model on after training; or files of the lake "
        "to hold out, such as 'where: date >= today - 7d' or 'last: 3'.",
    )
    where: str | None = Field(
        default=None,
        description="Condition on the rows to take, as in SQL: \"country = 'IS' and day >= "
        '2026-01-01".',
    )
    sample: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the rows to take, such as 0.1; their places decide which.",
    )
    weight: str | None = Field(default=None, description="Column with the importance of each row.")
    offset: str | None = Field(
        default=None, description="Column to add to the margin, with a weight of 1."
    )
    exposure: str | None = Field(
        default=None,
        description="Column, above 0, whose logarithm is added to the margin: rates of counts.",
    )
    cluster: str | None = Field(
        default=None,
        description="Column, such as customer, whose rows depend on each other; standard errors "
        "allow for it.",
    )
    robust: bool = Field(
        default=False,
        description="Standard errors that hold for any variance of the label (sandwich, HC1).",
    )
    folds: int = Field(
        default=0,
        ge=0,
        le=20,
        description="Folds of cross-validation of newton, 2 to 20, from the same pass; 0: none.",
    )
    fold_by: str | None = Field(
        default=None,
        description="Column, such as customer, of which rows of one value are in one fold; unset: "
        "the places of rows decide.",
    )
    on_null_label: Literal["error", "drop"] = Field(
        default="error", description="Treatment of rows whose label is null or NaN."
    )
    unknown_class: Literal["error", "drop", "other"] = Field(
        default="error",
        description="Treatment of rows of a class that the model does not know; other learns them "
        "as the class 'other'.",
    )
    on_missing_column: Literal["error", "null"] = Field(
        default="error",
        description="Treatment of a file that lacks a column of the features; null reads it as "
        "null.",
    )

    @property
    def roles(self) -> Roles:
        """The columns that are no features."""
        beside = (self.offset, self.exposure, self.cluster, self.fold_by)
        return Roles(self.label, self.weight, *beside)

    @field_validator("label", mode="before")
    @classmethod
    def _label_is_one_column(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            if len(value) != 1:
                raise ValueError(
                    f"expected one column, found {value}; several labels are trained by the "
                    "command onepass train, or by the fields of a job: onepass.train({...}), and "
                    "the train flow in the same way"
                )
            return value[0]
        return value

    @field_validator("lake", "holdout", "model", mode="before")
    @classmethod
    def _paths_do_not_depend_on_the_working_directory(cls, value: Any, info: ValidationInfo) -> Any:
        value = parse_holdout(value) if info.field_name == "holdout" else value
        # A scheduled run starts in another directory than the command that created the model.
        if isinstance(value, list):
            return [absolute(path) for path in value]
        return absolute(value)

    @field_validator("folds")
    @classmethod
    def _one_fold_leaves_no_other(cls, value: int) -> int:
        if value == 1:
            raise ValueError("expected 0 for none, or 2 to 20 folds, found 1")
        return value

    @model_validator(mode="after")
    def _a_column_of_folds_needs_their_number(self) -> Self:
        if self.fold_by is not None and not self.folds:
            raise ValueError("--fold-by needs the number of folds; give --folds 5")
        return self

    @field_validator("where")
    @classmethod
    def _condition_can_be_read(cls, value: str | None) -> str | None:
        value = (value or "").strip() or None
        if value is not None:
            parse_where(value)
        return value

    @field_validator("sample")
    @classmethod
    def _all_rows_are_no_sample(cls, value: float | None) -> float | None:
        return None if value == 1 else value

    @field_validator("on_missing_column", mode="before")
    @classmethod
    def _null_may_stand_without_quotes(cls, value: Any) -> Any:
        # YAML reads the word null as no value.
        return "null" if value is None else value
