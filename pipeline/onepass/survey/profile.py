"""Profile the columns of a sample, and decide how each one becomes numbers.

The first rule that applies decides:

- Columns that cannot be used are left out: nested types, only nulls, constant.
- The user may choose number or category.
- Truth values and times are used as such.
- Text and integers that look like ids are categories. They are left out if nearly every value is
  different.
- All other columns are numbers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from onepass.encode.columns import plain
from onepass.encode.schema import Bool, Column, Numeric, OneHot, Time, family
from onepass.errors import JobError
from onepass.survey.naming import naming
from onepass.survey.uses import SampledColumn, category, number, time

_ID_NAME = re.compile(
    r"(^|[_\W])(id|ids|key|code|uuid|guid|zip|zipcode|postcode|sku|number|nr|no)$", re.IGNORECASE
)
_ID_CAMEL = re.compile(r"[a-z](Id|ID|Key|Code|No|Nr)$")


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

    def wants(self, name: str) -> bool:
        """Whether a column may be a feature."""
        return name not in self.exclude and (not self.features or name in self.features)

    def check_names(self, present: set[str]) -> None:
        """Check that the lake has all columns named here.

        Raises
        ------
        JobError
            If a column does not exist.
        """
        for group in ("features", "exclude", "numeric", "categorical"):
            unknown = sorted(set(getattr(self, group)) - present)
            if unknown:
                raise JobError(f"--{group} names {unknown}, but the lake has {sorted(present)}")


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """The facts about one column in the sample, and the decision about it."""

    name: str
    type: str
    """Arrow type in the files, or the type inferred from the path."""
    null_share: float
    """Share of null rows: in the whole lake if the footers tell it, else in the sample."""
    distinct: int
    """Number of distinct values in the sample."""
    use: Column | None
    """How the column is encoded; None if it is left out."""
    reason: str
    """Reason for the decision, in a few words."""
    warning: str | None = None
    """Message to the user, if the decision may be a surprise."""

    @property
    def planned(self) -> str:
        """The use of the column in a word or two."""
        match self.use:
            case None:
                return "left out"
            case OneHot():
                return f"one-hot ({len(self.use.levels)} levels)"
            case Numeric() if self.use.is_curbed:
                return f"numeric ({self.use.curb})"
            case Time():
                return f"time ({', '.join(self.use.parts)})"
            case column:
                return column.kind


def profile_columns(
    sample: pa.Table, null_share: Mapping[str, float], choice: Choice, skip: Collection[str]
) -> list[ColumnProfile]:
    """Profile each column of a sample, except those in `skip`.

    Parameters
    ----------
    sample
        Rows from all over the lake; key=value folders are columns of it, in their types.
    null_share
        Share of nulls in the whole lake of each column for which it is known.
    choice
        The user's choice of columns and uses.
    skip
        Columns that are no features: label and weight.

    Raises
    ------
    JobError
        If the user chooses a use that the type of the column does not allow.
    """
    return [
        _profile(name, sample.column(name).combine_chunks(), null_share.get(name), choice)
        for name in sample.column_names
        if name not in skip
    ]


def _profile(
    name: str, values: pa.Array, known_nulls: float | None, choice: Choice
) -> ColumnProfile:
    values = plain(values)
    n_rows = max(1, len(values))
    nulls = known_nulls or values.null_count / n_rows
    usable = family(values.type) not in {"other", "null"}
    distinct = int(pc.count_distinct(values).as_py()) if usable else 0
    column = SampledColumn(name, values, nulls, distinct, len(values) - values.null_count)
    use, reason, warning = _decide(column, choice)
    return ColumnProfile(name, str(values.type), nulls, distinct, use, reason, warning)


_Decision: TypeAlias = tuple[Column | None, str, str | None]
"""The use of a column, the reason, and a warning."""


def _decide(column: SampledColumn, choice: Choice) -> _Decision:
    name, kind = column.name, family(column.values.type)
    if kind in {"other", "null"}:
        return None, f"type {column.values.type} cannot be used", None
    if column.n_valid == 0:
        return None, "only nulls in the sample", f"{name}: only nulls in the sample, left out"
    if column.distinct == 1 and not column.missing:
        return None, "constant in the sample", f"{name}: constant in the sample, left out"
    if name in choice.numeric:
        return _numeric_by_choice(column)
    if name in choice.categorical:
        return *category(column, "the job says so"), None
    return _decide_by_family(column, kind)


def _decide_by_family(column: SampledColumn, kind: str) -> _Decision:
    name = column.name
    match kind:
        case "bool":
            return Bool(name=name, missing=column.missing), "truth value", None
        case "time":
            return time(column), "date or timestamp", None
        case "text" if column.nearly_unique:
            text = f"{name}: nearly every value is different (an identifier or free text), left out"
            return None, "nearly every value is different", text
        case "text":
            return *category(column, "text"), None
        case "integer" if _id_like(column):
            return _identifier(column)
        case _:
            return number(column), "number", None


def _id_like(column: SampledColumn) -> bool:
    named = _ID_NAME.search(column.name) or _ID_CAMEL.search(column.name)
    return bool(named) and column.distinct > 2


def _identifier(column: SampledColumn) -> _Decision:
    if column.nearly_unique:
        text = (
            f"{column.name}: an id that differs from row to row, left out "
            f"({naming('numeric', column.name)} to read it as a number)"
        )
        return None, "an id that differs from row to row", text
    use, reason = category(column, "an id by its name")
    text = (
        f"{column.name}: an integer id, read as a category "
        f"({naming('numeric', column.name)} to read it as a number)"
    )
    return use, reason, text


def _numeric_by_choice(column: SampledColumn) -> _Decision:
    if family(column.values.type) not in {"integer", "real"}:
        raise JobError(
            f"--numeric names {column.name!r}, but its type is {column.values.type}, not a number"
        )
    return number(column), "the job says so", None
