"""The rows that a job takes: those that meet its condition, or a sample of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from onepass.selection.parse import parse_where
from onepass.selection.tree import Node, columns_of


@dataclass(frozen=True)
class Selection:
    """The condition and the sample of a job.

    It is pickled to workers as the text of the condition, and follows from the frozen job alone.
    """

    where: str | None = None
    """The condition; None takes all rows."""
    sample: float | None = None
    """Share of the rows that are taken; None takes all."""
    seed: int = 0
    """Seed of the sample."""
    missing_is_null: bool = False
    """Whether a column of the condition is null in files that lack it; an error otherwise."""

    @staticmethod
    def of(
        where: str | None, sample: float | None, seed: int, missing_is_null: bool
    ) -> Selection | None:
        """Return the selection of a job; None if it takes all rows."""
        if where is None and sample is None:
            return None
        return Selection(where, sample, seed, missing_is_null)

    @cached_property
    def node(self) -> Node | None:
        """The condition as a tree."""
        return None if self.where is None else parse_where(self.where)

    @cached_property
    def columns(self) -> list[str]:
        """Columns that the condition reads."""
        return [] if self.node is None else columns_of(self.node)
