"""Column kinds that cross columns with each other, or bend the line of a number.

They hold other kinds, which say how the columns of the files are read.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from onepass.encode.kind import Kind
from onepass.encode.scalar_kinds import Hashed, Numeric

if TYPE_CHECKING:
    from onepass.encode.schema import Column


class Spline(Kind):
    """A number as a curve: a feature for the height of the curve at each knot but the first."""

    kind: Literal["spline"] = "spline"
    number: Numeric
    """How the number is read; its centre and scale are not used."""
    knots: list[float] = Field(min_length=3, max_length=1000)
    """Where the pieces of the curve meet, ascending, in the unit of the number as it is read."""
    degree: Literal["linear", "cubic"] = "cubic"
    """Pieces of a natural cubic spline, or lines. Either goes on as a line beyond the knots."""
    center: list[float]
    """Mean of each feature in the sample."""
    scale: list[float]
    """Standard deviation of each feature in the sample."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if any(b <= a for a, b in pairwise(self.knots)):
            raise ValueError("knots must ascend")
        if not len(self.center) == len(self.scale) == len(self.knots) - 1:
            raise ValueError(f"{len(self.knots)} knots need as many centres and scales, less one")
        if min(self.scale) <= 0:
            raise ValueError("scales must be above 0")
        return self

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.number.name

    @property
    def missing(self) -> bool:
        """Whether a 0/1 feature marks missing values."""
        return self.number.missing

    @property
    def sources(self) -> list[Column]:
        """See `Kind.sources`."""
        return [self.number]

    def feature_names(self) -> list[str]:
        """Return the name of each dense feature, in order."""
        names = [f"{self.name} at {text}" for text in self.knot_texts()[1:]]
        return [*names, *([f"{self.name} is null"] if self.missing else [])]

    def knot_texts(self) -> list[str]:
        """Return the knots, in the unit of the column, as texts that differ."""
        return distinct_texts([self.number.uncurbed(knot) for knot in self.knots])


class Bins(Kind):
    """A number cut into bins, with a 0/1 feature for each but the first, the reference."""

    kind: Literal["bins"] = "bins"
    number: Numeric
    """How the number is read; its centre and scale are not used."""
    edges: list[float] = Field(min_length=1, max_length=1000)
    """Where a bin ends and the next begins, ascending. The outer bins are open."""

    @model_validator(mode="after")
    def _check_edges(self) -> Self:
        if any(b <= a for a, b in pairwise(self.edges)):
            raise ValueError("edges must ascend")
        return self

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.number.name

    @property
    def missing(self) -> bool:
        """Whether a 0/1 feature marks missing values."""
        return self.number.missing

    @property
    def sources(self) -> list[Column]:
        """See `Kind.sources`."""
        return [self.number]

    @property
    def levels(self) -> list[str]:
        """The bins in words, ascending; each has its lower edge, and not its upper one."""
        texts = distinct_texts(self.edges)
        inner = [f"[{low}, {high})" for low, high in pairwise(texts)]
        return [f"< {texts[0]}", *inner, f">= {texts[-1]}"]

    def feature_names(self) -> list[str]:
        """Return the name of each dense feature, in order."""
        names = [f"{self.name} {level}" for level in self.levels[1:]]
        return [*names, *([f"{self.name} is null"] if self.missing else [])]


class Product(Kind):
    """The product of numbers, each centred and scaled before; 0 where one is missing."""

    kind: Literal["product"] = "product"
    numbers: list[Numeric] = Field(min_length=2)
    """How each number is read, centred and scaled."""
    center: float
    """Mean of the product in the sample."""
    scale: float = Field(gt=0)
    """Standard deviation of the product in the sample."""

    @property
    def name(self) -> str:
        """Names of the columns, joined by ``*``."""
        return "*".join(number.name for number in self.numbers)

    @property
    def sources(self) -> list[Column]:
        """See `Kind.sources`."""
        return [*self.numbers]

    def feature_names(self) -> list[str]:
        """Return the name of the only feature."""
        return [self.name]


class Cross(Kind):
    """A combination of categories, and perhaps numbers, whose hash selects a weight.

    The weight is multiplied by the product of the numbers, centred and scaled, if there are any.
    """

    kind: Literal["cross"] = "cross"
    name: str
    """Names of the columns, joined by ``*``."""
    parts: list[Hashed | Bins] = Field(min_length=1)
    """How the level of each category is read."""
    numbers: list[Numeric] = Field(default_factory=list)
    """How each number is read, centred and scaled."""

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if len(self.parts) + len(self.numbers) < 2:
            raise ValueError("a cross has two columns or more")
        return self

    @property
    def is_hashed(self) -> bool:
        """See `Kind.is_hashed`."""
        return not self.numbers

    @property
    def has_entries(self) -> bool:
        """See `Kind.has_entries`."""
        return bool(self.numbers)

    @property
    def entries_per_row(self) -> float:
        """See `Kind.entries_per_row`."""
        return 1.0 if self.numbers else 0.0

    @property
    def sources(self) -> list[Column]:
        """See `Kind.sources`."""
        return [*(source for part in self.parts for source in part.sources), *self.numbers]

    def feature_names(self) -> list[str]:
        """Return no name: a cross has no dense feature."""
        return []


def distinct_texts(numbers: list[float]) -> list[str]:
    """Return numbers in few digits, but as many as tell them apart."""
    for digits in range(4, 17):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len(set(texts)) == len(numbers):
            return texts
    return [repr(number) for number in numbers]
