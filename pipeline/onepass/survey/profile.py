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
from onepass.encode.missing import as_words
from onepass.encode.nested_kinds import Bag, Vector
from onepass.encode.scalar_kinds import Bool, Numeric, OneHot, Time
from onepass.encode.schema import Column, family
from onepass.encode.shapes import Bins, Cross, Spline
from onepass.errors import JobError
from onepass.survey.choice import Choice
from onepass.survey.column_advice import (
    advice_about_marks,
    advice_about_numbers,
    advice_about_text,
)
from onepass.survey.levels_or_line import compare
from onepass.survey.naming import for_missing, naming
from onepass.survey.nested_columns import (
    NESTED,
    ListUse,
    decide_lists,
    decide_pairs,
    planned_lists,
)
from onepass.survey.row_numbers import recurs
from onepass.survey.sampled_lists import sampled_lists
from onepass.survey.text_columns import TextForm, numbers_by_choice, text_form
from onepass.survey.times import by_format, time_of_day, typed_time, with_local_cycles
from onepass.survey.unusable import why_unusable
from onepass.survey.uses import (
    ONE_HOT_LEVELS,
    SampledColumn,
    Words,
    category,
    is_whole,
    number,
    sampled,
)
from onepass.survey.whole_numbers import Clues, Decision, by_levels, whole_numbers
from onepass.text import percent

_MARKED = {".": ",234.5", ",": ".234,5"}
"""Numbers above 1,000 behind their first digit, by the decimal mark."""


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
            case Vector() | Bag():
                return planned_lists(self.use)
            case Spline():
                return f"{self.use.degree} spline ({len(self.use.knots)} knots)"
            case Bins():
                return f"bins ({len(self.use.levels)})"
            case Cross() if self.use.numbers:
                return "cross (category times number)"
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
        Columns that are no features, such as the label.
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
    column = sampled(name, values, known_nulls, Words(as_words(choice.missing)))
    use, reason, warning = _decide(column, choice, clues)
    if use is not None and column.found:
        reason += f"{for_missing(column.found)} ({percent(column.found_share, 2)})"
    return ColumnProfile(
        name, str(plain(values).type), column.null_share, column.distinct, use, reason, warning
    )


def _profile_lists(name: str, values: pa.Array, choice: Choice) -> ColumnProfile:
    as_what: ListUse = "auto"
    if name in choice.categorical:
        as_what = "bag"
    elif name in choice.numeric:
        as_what = "vector"
    found = sampled_lists(name, values, Words(as_words(choice.missing)))
    use, reason, warning = decide_lists(found, as_what, counted=name in choice.bag_counts)
    reason += for_missing(found.found) if use is not None else ""
    return ColumnProfile(
        name, str(values.type), found.null_share, found.distinct, use, reason, warning
    )


def _profile_pairs(pair: str, sample: pa.Table, choice: Choice) -> ColumnProfile:
    index, value = pair.split(":")
    for name in (index, value):
        if name not in sample.column_names:
            raise JobError(f"--sparse names {name!r}, but the column is left out or no list")
    indices, numbers = (sample.column(name).combine_chunks() for name in (index, value))
    words = Words(as_words(choice.missing))
    found, use, reason = decide_pairs(pair, indices, numbers, words)
    reason += for_missing(found.found) if use is not None else ""
    types = f"{indices.type}:{numbers.type}"
    return ColumnProfile(pair, types, found.null_share, found.distinct, use, reason)


def _decide(column: SampledColumn, choice: Choice, clues: Clues) -> Decision:
    name, kind = column.name, family(column.values.type)
    if kind in {"other", "null"}:
        return None, why_unusable(column.values.type), None
    if column.n_valid == 0:
        return None, "only nulls in the sample", f"{name}: only nulls in the sample, left out"
    if column.distinct == 1 and not column.missing:
        return None, "constant in the sample", f"{name}: constant in the sample, left out"
    flag = "numeric" if name in choice.numeric else choice.shape_of(name)
    if flag is not None:
        return _numeric_by_choice(column, flag, is_mixed=name in clues.mixed)
    if name in choice.categorical:
        return *category(column, "the job says so", any_type=name in clues.mixed), None
    if name in choice.time_format:
        form, use = by_format(column, choice.time_format[name], choice.timezone)
        return use, *_about(form, name, f"the job says so ({choice.time_format[name]})")
    return _decide_by_family(column, kind, choice, clues)


def _decide_by_family(column: SampledColumn, kind: str, choice: Choice, clues: Clues) -> Decision:
    name = column.name
    match kind:
        case "bool":
            return Bool(name=name, missing=column.missing), "truth value", None
        case "time":
            return typed_time(column, choice.timezone)
        case "clock":
            return time_of_day(column), "time of day", None
        case "duration":
            return number(column), "duration in seconds", None
        case "text":
            return _decide_text(column, choice, clues)
        case _ if is_whole(column.values):
            use, reason, warning = whole_numbers(column, clues)
            if isinstance(use, Numeric) and warning is None:
                numbers = floats(column.values)
                warning = advice_about_numbers(name, numbers) or advice_about_marks(name, numbers)
            return use, reason, warning
        case _:
            return number(column), "number", advice_about_marks(name, floats(column.values))


def _decide_text(column: SampledColumn, choice: Choice, clues: Clues) -> Decision:
    form = text_form(column.values, column.words.all)
    if form is not None and form.kind == "time":
        what = "times of day in text" if form.clock else "dates and times in text"
        what += f" ({form.format})" if form.format is not None else ""
        zone = choice.timezone if form.has_zone else None
        use = with_local_cycles(column.read_as(form), zone)
        return use, *_about(form, column.name, what)
    if form is not None:
        return _decide_numbers(column, form, clues)
    advice = advice_about_text(column.name, column.values, column.words.all)
    if column.nearly_unique:
        text = (
            f"{column.name}: nearly every value is different (an identifier or free text), left out"
        )
        return None, "nearly every value is different", advice or text
    return *category(column, "text"), advice


def _decide_numbers(column: SampledColumn, form: TextForm, clues: Clues) -> Decision:
    numbers = column.read_as(form)
    what = "numbers in text"
    what += f" (as 1{_MARKED[form.decimal_mark]})" if form.decimal_mark is not None else ""
    reason, warning = _about(form, column.name, what)
    if form.decimal_mark == "," and warning is None:
        advice = f"{naming('categorical', column.name)} to read it as a category"
        warning = f"{column.name}: read as numbers with a decimal comma ({advice})"
    if not is_whole(numbers.values):
        by_label = _decide_decimals(column, numbers, clues)
        return by_label or (number(numbers), reason, warning)
    found = whole_numbers(numbers, clues)
    return found if found[-1] else (found[0], reason, warning)


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
    if not form.unreadable:
        return reason, None
    shown = ", ".join(repr(text) for text in form.unreadable)
    return reason, (
        f"{name}: {form.unreadable_share:.2%} of the texts cannot be read ({shown}); they count as "
        f"missing ({naming('categorical', name)} to read the column as a category)"
    )


def _numeric_by_choice(column: SampledColumn, flag: str, *, is_mixed: bool) -> Decision:
    kind = family(column.values.type)
    if kind == "text" and (form := numbers_by_choice(column.values, column.words.all)) is not None:
        return number(column.read_as(form)), *_about(form, column.name, "the job says so")
    if kind not in {"integer", "real", "duration"}:
        texts = "text without a number" if kind == "text" else f"{column.values.type}, not a number"
        raise JobError(f"--{flag} names {column.name!r}, but its type is {texts}")
    use = number(column)
    if is_mixed and kind != "duration":
        # The files with text may not be in the sample.
        use = use.model_copy(update={"text": True, "missing_texts": list(column.words.all)})
    return use, "the job says so", None
