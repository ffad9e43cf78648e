"""The fields of a job that cross columns with each other, and bend their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from onepass.job_columns import ColumnFields
from onepass.job_values import comma_separated

KNOTS, FEWEST_KNOTS, MOST_KNOTS = 6, 3, 64
"""Knots of a spline that names no number, and the bounds of that number."""

BINS, FEWEST_BINS, MOST_BINS = 10, 2, 256
"""Bins of a column that names no number, and the bounds of that number."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A spline that the job asks for."""

    column: str
    n_knots: int
    degree: Literal["linear", "cubic"]
    """Whether the pieces are lines or cubic."""

    def __str__(self) -> str:
        return f"{self.column}:{self.n_knots}" + (":linear" if self.degree == "linear" else "")


class ShapeFields(ColumnFields):
    """Fields of `onepass.job.Job` about crosses and shapes."""

    GROUP: ClassVar[str] = "Crosses and shapes"

    cross: list[str] = Field(
        default_factory=list,
        description="Columns to cross, such as site*device: a weight for each combination.",
    )
    spline: list[str] = Field(
        default_factory=list,
        description="Numbers to bend at quantiles, such as age:6 (knots) or age:6:linear.",
    )
    log: list[str] = Field(
        default_factory=list, description="Numbers to read as sign(x) log(1 + |x| / unit)."
    )
    bins: list[str] = Field(
        default_factory=list,
        description="Numbers to cut at quantiles, such as age:10: a weight for each bin.",
    )

    @field_validator("cross", "spline", "log", "bins", mode="before")
    @classmethod
    def _shapes_may_be_separated_by_commas(cls, value: Any) -> Any:
        return comma_separated(value)

    @field_validator("cross")
    @classmethod
    def _crosses_have_parts(cls, value: list[str]) -> list[str]:
        crosses = [parse_cross(text) for text in value]
        parts = [frozenset(one) for one in crosses]
        twice = [text for text, own in zip(value, parts, strict=True) if parts.count(own) > 1]
        if twice:
            raise ValueError(f"expected each cross once, found {' and '.join(twice)}")
        return ["*".join(one) for one in crosses]

    @field_validator("spline")
    @classmethod
    def _splines_have_knots(cls, value: list[str]) -> list[str]:
        return [str(parse_spline(text)) for text in value]

    @field_validator("bins")
    @classmethod
    def _bins_have_numbers(cls, value: list[str]) -> list[str]:
        return ["{}:{}".format(*parse_bins(text)) for text in value]

    @model_validator(mode="after")
    def _shapes_suit_the_columns(self) -> Self:
        named = [("cross", part) for one in self.crosses for part in one]
        named += [("spline", one.column) for one in self.curves]
        named += [("log", name) for name in self.log]
        named += [("bins", name) for name, _ in self.cuts]
        for field, name in named:
            for role, own in self.roles.named().items():
                if name == own:
                    raise ValueError(f"the {role} {name!r} cannot be a part of {field!r}")
        for field, name in named:
            if field == "cross":
                continue
            if [(f, n) for f, n in named if n == name].count((field, name)) > 1:
                raise ValueError(f"{field!r} names column {name!r} twice")
            if field != "bins" and ("bins", name) in named:
                raise ValueError(f"column {name!r} is named in both 'bins' and {field!r}")
            if name in self.categorical:
                raise ValueError(f"column {name!r} is named in both 'categorical' and {field!r}")
        return self

    @property
    def crosses(self) -> list[tuple[str, ...]]:
        """The parts of each cross."""
        return [parse_cross(text) for text in self.cross]

    @property
    def curves(self) -> list[Curve]:
        """The splines."""
        return [parse_spline(text) for text in self.spline]

    @property
    def cuts(self) -> list[tuple[str, int]]:
        """The columns that are cut into bins, each with the number of bins."""
        return [parse_bins(text) for text in self.bins]


def parse_cross(text: str) -> tuple[str, ...]:
    """Parse ``site*device`` into the names of its columns.

    Raises
    ------
    ValueError
        If there are no two columns, or one of them is there twice.
    """
    parts = tuple(part.strip() for part in text.split("*"))
    if len(parts) < 2 or not all(parts):
        raise ValueError(
            f"expected whole names of two or more columns, joined by *, such as site*device; "
            f"found {text!r} (names have no wildcards here)"
        )
    if len(set(parts)) < len(parts):
        raise ValueError(f"expected different columns, found {text!r}")
    return parts


def parse_spline(text: str) -> Curve:
    """Parse ``age``, ``age:6`` or ``age:6:linear``.

    Raises
    ------
    ValueError
        If the number of knots is out of bounds, or the degree is unknown.
    """
    name, degree = text.strip(), "cubic"
    for word in ("linear", "cubic"):
        if name.endswith(f":{word}"):
            name, degree = name.removesuffix(f":{word}"), word
    column, n_knots = _counted(name, KNOTS)
    if not column or not FEWEST_KNOTS <= n_knots <= MOST_KNOTS:
        raise ValueError(
            f"expected a column and {FEWEST_KNOTS} to {MOST_KNOTS} knots, such as age:6 or "
            f"age:6:linear, found {text!r}"
        )
    return Curve(column, n_knots, "linear" if degree == "linear" else "cubic")


def parse_bins(text: str) -> tuple[str, int]:
    """Parse ``age`` or ``age:10`` into a column and its number of bins.

    Raises
    ------
    ValueError
        If that number is out of bounds.
    """
    column, n_bins = _counted(text.strip(), BINS)
    if not column or not FEWEST_BINS <= n_bins <= MOST_BINS:
        raise ValueError(
            f"expected a column and {FEWEST_BINS} to {MOST_BINS} bins, such as age:10, "
            f"found {text!r}"
        )
    return column, n_bins


def _counted(text: str, default: int) -> tuple[str, int]:
    name, colon, count = text.rpartition(":")
    if colon and count.strip().isdecimal():
        return name.strip(), int(count)
    return text, default
