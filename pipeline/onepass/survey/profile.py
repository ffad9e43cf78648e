"""Profile the columns of a sample, and decide how each one becomes numbers.

The first rule that applies decides:

- Columns that cannot be used are left out: nested types, only nulls, constant.
- The user may choose number or category.
- Truth values and times are used as such, and so are dates, times and numbers in text.
- Other text is a category. It is left out if nearly every value is different.
- Whole numbers, integers or not, have rules of their own: see `whole_numbers`.
- All other columns are numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa

from onepass.encode.columns import floats, plain
from onepass.encode.nested_kinds import Bag, Vector
from onepass.encode.schema import Bool, Column, Numeric, OneHot, Time, family
from onepass.encode.shapes import Bins, Cross, Spline
from onepass.errors import JobError
from onepass.job_shapes import Curve
from onepass.survey.levels_or_line import compare
from onepass.survey.naming import naming
from onepass.survey.nested_columns import (
    NESTED,
    ListUse,
    decide_lists,
    decide_pairs,
    planned_lists,
    sampled_lists,
)
from onepass.survey.row_numbers import recurs
from onepass.survey.text_columns import TextForm, missing_share, numbers_by_choice, text_form
from onepass.survey.uses import (
    ONE_HOT_LEVELS,
    SampledColumn,
    category,
    is_whole,
    number,
    sampled,
    time,
)
from onepass.survey.whole_numbers import Clues, Decision, by_levels, whole_numbers

_SHAPES = ("spline", "log", "bins")
"""Fields of a job that shape numbers."""

_GROUPS = (
    *("features", "exclude", "numeric", "categorical", "sparse", "bag_counts", "cross"),
    *_SHAPES,
)
"""Fields of a job that name columns."""


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
        return {name for field in _GROUPS if field != "exclude" for name in self.named(field)}

    def check_names(self, present: set[str]) -> None:
        """Check that the lake has all columns named here.

        Raises
        ------
        JobError
            If a column does not exist.
        """
        for group in _GROUPS:
            unknown, flag = sorted(set(self.named(group)) - present), group.replace("_", "-")
            if unknown:
                raise JobError(f"--{flag} names {unknown}, but the lake has {sorted(present)}")
        for group in _SHAPES:
            unread = [name for name in self.named(group) if not self.wants(name)]
            if unread:
                advice = "add it to --features, or take it from --exclude"
                raise JobError(f"--{group} names {unread}, which the job leaves out; {advice}")


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
            case Spline():
                return f"{self.use.degree} spline ({len(self.use.knots)} knots)"
            case Bins():
                return f"bins ({len(self.use.levels)})"
            case Cross() if self.use.numbers:
                return "cross (category times number)"
            case Vector() | Bag():
                return planned_lists(self.use)
            case Time():
                return f"time ({', '.join(self.use.parts)})"
            case column:
                return column.kind.replace("_", " ")


def profile_columns(
    sample: pa.Table,
    null_share: Mapping[str, float],
    choice: Choice,
    skip: Collection[str],
    clues: Clues | None = None,
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
    clues
        The labels and places of the rows, as far as they are known.

    Raises
    ------
    JobError
        If the user chooses a use that the type of the column does not allow.
    """
    clues = clues or Clues()
    pairs = [_profile_pairs(pair, sample, choice) for pair in choice.sparse]
    return [
        _profile(name, sample.column(name).combine_chunks(), null_share.get(name), choice, clues)
        for name in sample.column_names
        if name not in skip and name not in choice.of_pairs
    ] + pairs


def _profile(
    name: str, values: pa.Array, known_nulls: float | None, choice: Choice, clues: Clues
) -> ColumnProfile:
    if family(values.type) in NESTED:
        return _profile_lists(name, values, choice)
    if name in choice.bag_counts:
        raise JobError(f"--bag-counts names {name!r}, but its type is {values.type}, not a list")
    column = sampled(name, values, known_nulls)
    use, reason, warning = _decide(column, choice, clues)
    nulls = column.null_share
    if isinstance(use, Numeric | Time) and use.text:
        nulls = max(nulls, missing_share(column.values, use.missing_texts))
    return ColumnProfile(
        name, str(plain(values).type), nulls, column.distinct, use, reason, warning
    )


def _profile_lists(name: str, values: pa.Array, choice: Choice) -> ColumnProfile:
    as_what: ListUse = "auto"
    if name in choice.categorical:
        as_what = "bag"
    elif name in choice.numeric:
        as_what = "vector"
    found = sampled_lists(name, values)
    use, reason, warning = decide_lists(found, as_what, counted=name in choice.bag_counts)
    return ColumnProfile(
        name, str(values.type), found.null_share, found.distinct, use, reason, warning
    )


def _profile_pairs(pair: str, sample: pa.Table, choice: Choice) -> ColumnProfile:
    index, value = pair.split(":")
    for name in (index, value):
        if name not in sample.column_names:
            raise JobError(f"--sparse names {name!r}, but the column is left out or no list")
    columns = [sample.column(name).combine_chunks() for name in (index, value)]
    found, use, reason = decide_pairs(pair, *columns)
    types = ":".join(str(values.type) for values in columns)
    return ColumnProfile(pair, types, found.null_share, found.distinct, use, reason)


def _decide(column: SampledColumn, choice: Choice, clues: Clues) -> Decision:
    name, kind = column.name, family(column.values.type)
    if kind in {"other", "null"}:
        return None, f"type {column.values.type} cannot be used", None
    if column.n_valid == 0:
        return None, "only nulls in the sample", f"{name}: only nulls in the sample, left out"
    if column.distinct == 1 and not column.missing:
        return None, "constant in the sample", f"{name}: constant in the sample, left out"
    flag = "numeric" if name in choice.numeric else choice.shape_of(name)
    if flag is not None:
        return _numeric_by_choice(column, flag)
    if name in choice.categorical:
        return *category(column, "the job says so"), None
    return _decide_by_family(column, kind, clues)


def _decide_by_family(column: SampledColumn, kind: str, clues: Clues) -> Decision:
    match kind:
        case "bool":
            return Bool(name=column.name, missing=column.missing), "truth value", None
        case "time":
            return time(column), "date or timestamp", None
        case "text":
            return _decide_text(column, clues)
        case _ if is_whole(column.values):
            return whole_numbers(column, clues)
        case _:
            return number(column), "number", None


def _decide_text(column: SampledColumn, clues: Clues) -> Decision:
    form = text_form(column.values)
    if form is not None and form.kind == "time":
        return time(column.read_as(form)), *_about(form, column.name, "dates and times in text")
    if form is not None:
        numbers = column.read_as(form)
        reason, warning = _about(form, column.name, "numbers in text")
        if not is_whole(numbers.values):
            return _decide_decimals(column, numbers, clues) or (number(numbers), reason, warning)
        found = whole_numbers(numbers, clues)
        return found if found[-1] else (found[0], reason, warning)
    if column.nearly_unique:
        text = (
            f"{column.name}: nearly every value is different (an identifier or free text), left out"
        )
        return None, "nearly every value is different", text
    return *category(column, "text"), None


def _decide_decimals(
    column: SampledColumn, numbers: SampledColumn, clues: Clues
) -> Decision | None:
    """Return the decision for few decimal numbers in text, such as sizes; None if a number."""
    if clues.target is None or numbers.distinct > ONE_HOT_LEVELS:
        return None
    values = floats(numbers.values)
    evidence = compare(values, clues.target)
    if evidence is None or not evidence.for_levels or not recurs(values, clues.rows):
        return None
    return by_levels(column, evidence)


def _about(form: TextForm, name: str, reason: str) -> tuple[str, str | None]:
    """Return the reason for a use of text as something else, and a warning if texts are unread."""
    if form.found_missing:
        texts = ", ".join(repr(text) for text in form.found_missing)
        reason += f"; {texts} for missing"
    if not form.unreadable:
        return reason, None
    shown = ", ".join(repr(text) for text in form.unreadable)
    return reason, (
        f"{name}: {form.unreadable_share:.2%} of the texts cannot be read ({shown}); they count as "
        f"missing ({naming('categorical', name)} to read the column as a category)"
    )


def _numeric_by_choice(column: SampledColumn, flag: str) -> Decision:
    kind = family(column.values.type)
    if kind == "text" and (form := numbers_by_choice(column.values)) is not None:
        return number(column.read_as(form)), *_about(form, column.name, "the job says so")
    if kind not in {"integer", "real"}:
        texts = "text without a number" if kind == "text" else f"{column.values.type}, not a number"
        raise JobError(f"--{flag} names {column.name!r}, but its type is {texts}")
    return number(column), "the job says so", None
