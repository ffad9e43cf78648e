"""The user's choice of columns and of their uses, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onepass.errors import JobError
from onepass.job_shapes import Curve
from onepass.survey.naming import fields_of

_SHAPES = ("spline", "log", "bins")
"""Fields of a job that shape numbers."""

_LISTS = ("sparse", "bag_counts")
"""Fields of a job about columns of lists."""

_WANTED = ("features", "numeric", "categorical", *_LISTS, "cross", *_SHAPES)
"""Fields of a job that name columns to use."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The user's choice of columns and of their uses, by name."""

    features: tuple[str, ...] = ()
    """The only columns to use; all columns if empty."""
    exclude: tuple[str, ...] = ()
    """Columns to leave out."""
    numeric: tuple[str, ...] = ()
    """Columns to use as numbers."""
    categorical: tuple[str, ...] = ()
    """Columns to use as categories."""
    sparse: tuple[str, ...] = ()
    """Pairs of columns to use as sparse rows, as ``indices:values``."""
    bag_counts: tuple[str, ...] = ()
    """Columns of lists in which a value counts as often as it occurs."""
    crosses: tuple[tuple[str, ...], ...] = ()
    """Columns to cross with each other."""
    curves: tuple[Curve, ...] = ()
    """Numbers to use as splines."""
    log: tuple[str, ...] = ()
    """Numbers to use as logarithms."""
    cuts: tuple[tuple[str, int], ...] = ()
    """Numbers to cut into bins, with the number of bins."""
    time_format: Mapping[str, str] = field(default_factory=dict)
    """Formats of the columns to use as times."""
    timezone: str | None = None
    """Zone whose clocks the cycles of timestamps follow; None for the zone of the column."""
    missing: tuple[str, ...] = ()
    """Further words for a missing value."""

    @property
    def of_pairs(self) -> set[str]:
        """Columns of the pairs."""
        return {name for pair in self.sparse for name in pair.split(":")}

    def wants(self, name: str) -> bool:
        """Whether a column may be a feature."""
        if name in self.of_pairs:
            return name not in self.exclude
        return name not in self.exclude and (not self.features or name in self.features)

    def reads(self, name: str) -> bool:
        """Whether a column may be a feature, or a part of one."""
        return self.wants(name) or any(name in parts for parts in self.crosses)

    def shape_of(self, name: str) -> str | None:
        """Return the field that makes a number of a column and shapes it; None if none does."""
        return next((field for field in _SHAPES if name in self.named(field)), None)

    def named(self, field: str) -> list[str]:
        """Return the columns that a field of the job names."""
        match field:
            case "cross":
                return [name for parts in self.crosses for name in parts]
            case "spline":
                return [curve.column for curve in self.curves]
            case "bins":
                return [name for name, _ in self.cuts]
            case "sparse":
                return sorted(self.of_pairs)
        return list(getattr(self, field))

    def all_named(self) -> set[str]:
        """Return the columns that the user wants, by whatever field."""
        return {name for field in _WANTED for name in self.named(field)}

    def check_names(self, present: set[str]) -> None:
        """Check that the lake has all columns named here.

        Raises
        ------
        JobError
            If a column does not exist.
        """
        for group in (
            "features",
            "exclude",
            "numeric",
            "categorical",
            "time_format",
            *_LISTS,
            "cross",
            *_SHAPES,
        ):
            unknown = sorted(set(self.named(group)) - present)
            if unknown:
                flag = group.replace("_", "-")
                structs = fields_of(unknown, present)
                raise JobError(
                    f"--{flag} names {unknown}, but the lake has {sorted(present)}{structs}"
                )
        for group in _SHAPES:
            unread = [name for name in self.named(group) if not self.wants(name)]
            if unread:
                advice = "add it to --features, or take it from --exclude"
                raise JobError(f"--{group} names {unread}, which the job leaves out; {advice}")
