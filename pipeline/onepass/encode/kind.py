"""The base of all kinds of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from onepass.encode.schema import Column


class Frozen(BaseModel):
    """A value of `model.json`: it never changes, and has no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Kind(Frozen):
    """How one column of a file, or several, become features: frozen with the model."""

    @property
    def is_hashed(self) -> bool:
        """Whether each row has one hashed weight for the column."""
        return False

    @property
    def has_entries(self) -> bool:
        """Whether the column becomes entries of sparse rows."""
        return False

    @property
    def entries_per_row(self) -> float:
        """Mean number of entries of a row in the sample."""
        return 0.0

    @property
    def sources(self) -> list[Column]:
        """The columns of the files that are read for this one, each by its kind."""
        return [self]  # type: ignore[list-item]

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the columns of the files that are read for this one, each once."""
        found: list[str] = []
        for source in self.sources:
            found += [source.name] if source is self else source.source_names
        return tuple(dict.fromkeys(found))
