"""Find columns of text that hold numbers, or dates and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.encode.missing import MISSING_TEXTS, is_missing
from onepass.encode.text_values import numbers_in_text, seconds_of, times_in_text
from onepass.encode.written_numbers import MARKS, written_numbers
from onepass.survey.time_formats import Found, find_format
from onepass.time_words import has_zone, is_clock

LEAST_READ = 0.99
"""Share of the texts, other than missing ones, that must be numbers or times."""

_CODE = r"^[+-]?0[0-9]"
"""A number that begins with a needless zero, as zip codes do."""

_DIGITS = r"^[0-9]{5,}$"
"""A whole number long enough to be a code, if all of them are of one length."""

_LOOKED_AT = 500
"""Number of evenly spaced texts that are looked at first."""

_LEAST_OF_FEW = 0.9
"""Share of these texts that must be read. Where 99 % of all can be, chance leaves no fewer."""

_MOST = 0.8
"""Share of the texts that are numbers or times from which the others are named to the user."""

_YEAR_AND_MONTH = r"^\s*[0-9]{4}-[0-9]{2}"

_ZONE = r"(?i)[0-9]\s*(z|utc|[+-][0-9]{2}(:?[0-9]{2})?)\s*$"
"""The end of a time by ISO 8601 that says its distance to UTC; a date alone has none."""

_TIME = r"[0-9]:[0-9]"

_SIGN = "[.,%$€£¥]"
"""Some number of a column has one of these marks or signs."""

_MONTH = r"^[0-9]{4}-[0-9]{2}$"

_DECIMAL = r"^[0-9]+\.[0-9]+$"

_FEW = 64
"""Maximum number of decimal numbers that may be versions; prices may differ in their zeros."""

_SHOWN = 3

_DIGITS_OR_MONTH = (
    r"(?i)^\s*([0-9]{1,4}[-/.:][0-9]|[0-9]{8}|[0-9]{1,2}[ -][a-z]{3}|[a-z]{3,9},? [0-9])"
)
"""Pattern of the first characters of dates and times of day, in formats other than ISO 8601."""

_Kind: TypeAlias = Literal["number", "time"]


@dataclass(frozen=True, slots=True)
class TextForm:
    """A column of text, read as numbers or as times."""

    kind: _Kind
    values: pa.Array
    """The values, times in seconds since 1970 (UTC), as float64; null where there is none."""
    unreadable: list[str]
    """A few of the texts that hold neither, at most `_SHOWN`."""
    unreadable_share: float
    """Share of such texts among those that are not missing."""
    format: str | None = None
    """Format of the times; ISO 8601 if None."""
    has_zone: bool = False
    """Whether the times say their distance to UTC."""
    clock: bool = False
    """Whether the times are times of day."""
    decimal_mark: str | None = None
    """Decimal mark of numbers as people write them; None for plain ones."""


def text_form(texts: pa.Array, missing: tuple[str, ...] = MISSING_TEXTS) -> TextForm | None:
    """Return the form of a column of text; None if it is a category or free text.

    Numbers with leading zeros, long whole numbers of one length, and few numbers of which two are
    equal but for zeros at their ends (versions such as 1.1 and 1.10) are codes: a category. So are
    months, which recur in further years as levels, and tell nothing about the day.
    """
    few = some_of(texts)
    if _are_read("time", few, missing) and not _are_months(texts, missing):
        form = _form("time", texts, missing)
        if form is not None:
            return form
    if may_be_written(few) and (found := format_of(texts, missing)).format is not None:
        form = _form("time", texts, missing, found.format)
        if form is not None:
            return form
    if _are_read("number", few, missing):
        return None if _are_codes(texts, missing) else _form("number", texts, missing)
    marks = marks_of(texts, missing) if marks_of(few, missing) else []
    return _form("number", texts, missing, marks[0]) if len(marks) == 1 else None


def numbers_by_choice(texts: pa.Array, missing: tuple[str, ...] = MISSING_TEXTS) -> TextForm | None:
    """Return the numbers of a column of text, even if few texts are numbers; None if none is."""
    plain = _form("number", texts, missing, least=0.0)
    marks = marks_of(texts, missing)
    written = _form("number", texts, missing, marks[0]) if len(marks) == 1 else None
    if plain is None or written is None:
        return plain or written
    return min(plain, written, key=lambda form: form.unreadable_share)


def times_by_choice(texts: pa.Array, missing: tuple[str, ...], form: str) -> TextForm | None:
    """Return the times of a column of text in a format; None if no text is one."""
    return _form("time", texts, missing, form, least=0.0)


def some_of(texts: pa.Array) -> pa.Array:
    """Return a few of the texts: most columns of text are words, which these tell."""
    present = texts.drop_null()
    return present.take(pa.array(np.linspace(0, len(present) - 1, _LOOKED_AT).astype(np.int64)))


def _are_read(kind: _Kind, few: pa.Array, missing: tuple[str, ...]) -> bool:
    """Whether most of a few texts are numbers, or times by ISO 8601."""
    if kind == "time" and not pc.any(pc.match_substring_regex(few, _YEAR_AND_MONTH)).as_py():
        return bool(pc.all(is_missing(few, missing)).as_py())
    values, is_null = seconds_of(_read(kind, few, missing, None))
    return bool(np.isfinite(values).sum() >= _LEAST_OF_FEW * (~is_null).sum())


def may_be_written(few: pa.Array) -> bool:
    """Whether a few texts are of digits with marks, or with the name of a month."""
    return bool(pc.any(pc.match_substring_regex(few, _DIGITS_OR_MONTH)).as_py())


def marks_of(few: pa.Array, missing: tuple[str, ...]) -> list[str]:
    """Return the decimal marks by which a few texts are numbers as people write them.

    There are two if the texts are numbers by either, with different values.
    """
    present = _present(few, missing)
    read = {mark: int(np.isfinite(written_numbers(present, mark)).sum()) for mark in MARKS}
    most = max(read.values(), default=0)
    if not len(present) or most < _LEAST_OF_FEW * len(present):
        return []
    if not pc.any(pc.match_substring_regex(present, _SIGN)).as_py():
        # Digits with blanks between them are codes, such as those of telephones.
        return []
    best = [mark for mark, n in read.items() if n == most]
    is_whole = not pc.any(pc.match_substring_regex(present, "[.,]")).as_py()
    return best[:1] if is_whole else best


def nearly_form(texts: pa.Array, missing: tuple[str, ...]) -> TextForm | None:
    """Return the form of a column in which most texts are numbers or times, but too few."""
    few = some_of(texts)
    found = [_form("number", few, missing, least=_MOST), _form("time", few, missing, least=_MOST)]
    if may_be_written(few) and (form := format_of(few, missing, _MOST).format) is not None:
        found.append(_form("time", few, missing, form, least=_MOST))
    return next((one for one in found if one is not None and one.unreadable), None)


def format_of(texts: pa.Array, missing: tuple[str, ...], least: float = LEAST_READ) -> Found:
    """Return the formats of dates in which texts are written."""
    few = some_of(texts)
    found = find_format(_present(few, missing), missing, min(least, _LEAST_OF_FEW))
    if found == Found(None) or len(few) == len(texts):
        return found
    return find_format(_present(texts, missing), missing, least)


def _present(texts: pa.Array, missing: tuple[str, ...]) -> pa.Array:
    return texts.filter(pc.invert(is_missing(texts, missing)))


def _read(kind: _Kind, texts: pa.Array, missing: Sequence[str], form: str | None) -> pa.Array:
    """Read numbers with a decimal mark, or times in a format; plain ones if `form` is None."""
    if kind == "number":
        return numbers_in_text(texts, missing, "", form)
    return times_in_text(texts, missing, "", form)


def _form(
    kind: _Kind,
    texts: pa.Array,
    missing: tuple[str, ...],
    form: str | None = None,
    least: float = LEAST_READ,
) -> TextForm | None:
    found = _read(kind, texts, missing, form)
    values, is_null = seconds_of(found)
    read = np.isfinite(values)
    n_present, n_read = int((~is_null).sum()), int(read.sum())
    if not n_read or n_read < least * n_present:
        return None
    unreadable = texts.filter(pa.array(~is_null & ~read)).unique().slice(0, _SHOWN).to_pylist()
    numbers = pa.array(values, mask=~read)
    share = 1 - n_read / n_present
    if kind == "number":
        return TextForm(kind, numbers, unreadable, share, decimal_mark=form)
    is_day = form is not None and is_clock(form)
    return TextForm(kind, numbers, unreadable, share, form, _say_zones(texts, form), is_day)


def _say_zones(texts: pa.Array, form: str | None) -> bool:
    """Whether times say their distance to UTC: most of those that are more than a date."""
    if form is not None:
        return has_zone(form)
    times = texts.filter(pc.match_substring_regex(texts, _TIME))
    said = pc.match_substring_regex(times, _ZONE).true_count
    return len(times) > 0 and said > 0.5 * len(times)


def _are_months(texts: pa.Array, missing: tuple[str, ...]) -> bool:
    present = _present(pc.ascii_trim_whitespace(texts), missing)
    return len(present) > 0 and bool(pc.all(pc.match_substring_regex(present, _MONTH)).as_py())


def _are_versions(bare: pa.Array, missing: tuple[str, ...]) -> bool:
    """Whether texts of few decimal numbers are equal as numbers, as 1.1 and 1.10 are."""
    decimals = bare.filter(pc.match_substring_regex(bare, _DECIMAL)).unique()
    if not 0 < len(decimals) <= _FEW:
        return False
    values, _ = seconds_of(numbers_in_text(decimals, missing))
    return len(np.unique(values)) < len(decimals)


def _are_codes(texts: pa.Array, missing: tuple[str, ...]) -> bool:
    bare = pc.ascii_trim_whitespace(texts.drop_null())
    if _are_versions(bare, missing):
        return True
    if pc.any(pc.match_substring_regex(bare, _CODE)).as_py():
        return True
    numbers = bare.filter(pc.match_substring_regex(bare, "[0-9]"))
    lengths = pc.binary_length(numbers).unique()
    return len(lengths) == 1 and bool(pc.all(pc.match_substring_regex(numbers, _DIGITS)).as_py())
