"""The common base of the kinds of columns that a schema holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from onepass.encode.schema import Column


class Frozen(BaseModel):
    """A value of `model.json`: it never changes, and has no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ColumnBase(Frozen):
    """A column of features."""

    @property
    def is_hashed(self) -> bool:
        """Whether each row has one hashed weight for the column."""
        return False

    @property
    def entries_per_row(self) -> float:
        """Mean number of entries of a row in the sample."""
        return 0.0

    @property
    def has_entries(self) -> bool:
        """Whether the column becomes entries of sparse rows."""
        return False

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the columns of the lake that are read for it."""
        name: str = getattr(self, "name")  # noqa: B009
        return (name,)

    @property
    def inputs(self) -> list[Column]:
        """How the columns of the lake are read for it, if it is made of other kinds."""
        return [self]  # type: ignore[list-item]
