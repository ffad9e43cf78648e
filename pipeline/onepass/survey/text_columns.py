"""Find columns of text that hold numbers, or dates and times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.encode.text_values import (
    MISSING_TEXTS,
    is_missing,
    numbers_in_text,
    seconds_of,
    times_in_text,
)

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

_YEAR_AND_MONTH = r"^\s*[0-9]{4}-[0-9]{2}"

_MONTH = r"^[0-9]{4}-[0-9]{2}$"

_DECIMAL = r"^[0-9]+\.[0-9]+$"

_FEW = 64
"""Maximum number of decimal numbers that may be versions; prices may differ in their zeros."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class TextForm:
    """A column of text, read as numbers or as times."""

    kind: Literal["number", "time"]
    values: pa.Array
    """The values, times in seconds since 1970 (UTC), as float64; null where there is none."""
    missing: list[str]
    """Texts in lower case that stand for a missing value."""
    found_missing: list[str]
    """Texts of the sample that stand for a missing value, as they are written; "" for blanks."""
    unreadable: list[str]
    """A few of the texts that hold neither, at most `_SHOWN`."""
    unreadable_share: float
    """Share of such texts among those that are not missing."""


def text_form(texts: pa.Array) -> TextForm | None:
    """Return the form of a column of text; None if it is a category or free text.

    Numbers with leading zeros, long whole numbers of one length, and few numbers of which two are
    equal but for zeros at their ends (versions such as 1.1 and 1.10) are codes: a category. So are
    months, which recur in further years as levels, and tell nothing about the day.
    """
    kinds: tuple[Literal["time", "number"], ...] = ("time", "number")
    likely = [kind for kind in kinds if _is_likely(kind, texts)]
    if "time" in likely and not _are_months(texts):
        form = _form("time", texts)
        if form is not None:
            return form
    return None if "number" not in likely or _are_codes(texts) else _form("number", texts)


def _is_likely(kind: Literal["time", "number"], texts: pa.Array) -> bool:
    """Whether a few of the texts are numbers or times: most columns of text are words."""
    present = texts.drop_null()
    place = np.linspace(0, len(present) - 1, _LOOKED_AT).astype(np.int64)
    few = present.take(pa.array(place))
    if kind == "time" and not pc.any(pc.match_substring_regex(few, _YEAR_AND_MONTH)).as_py():
        return bool(pc.all(is_missing(few, MISSING_TEXTS)).as_py())
    values, is_null = seconds_of(_READ[kind](few, MISSING_TEXTS))
    return bool(np.isfinite(values).sum() >= _LEAST_OF_FEW * (~is_null).sum())


def numbers_by_choice(texts: pa.Array) -> TextForm | None:
    """Return the numbers of a column of text, even if few texts are numbers; None if none is."""
    return _form("number", texts, least=0.0)


def missing_share(texts: pa.Array, missing: Sequence[str]) -> float:
    """Return the share of nulls and of texts that stand for a missing value."""
    return float(np.mean(is_missing(texts, missing).to_numpy(zero_copy_only=False)))


_Read: TypeAlias = Callable[[pa.Array, Sequence[str]], pa.Array]
_READ: dict[str, _Read] = {"number": numbers_in_text, "time": times_in_text}


def _form(
    kind: Literal["number", "time"], texts: pa.Array, least: float = LEAST_READ
) -> TextForm | None:
    found = _READ[kind](texts, MISSING_TEXTS)
    values, is_null = seconds_of(found)
    read = np.isfinite(values)
    n_present, n_read = int((~is_null).sum()), int(read.sum())
    if not n_read or n_read < least * n_present:
        return None
    missing = pc.ascii_trim_whitespace(texts).filter(pa.array(is_null)).drop_null().unique()
    unreadable = texts.filter(pa.array(~is_null & ~read)).unique().slice(0, _SHOWN).to_pylist()
    return TextForm(
        kind,
        pa.array(values, mask=~read),
        list(MISSING_TEXTS),
        sorted(missing.to_pylist()),
        unreadable,
        1 - n_read / n_present,
    )


def _are_months(texts: pa.Array) -> bool:
    bare = pc.ascii_trim_whitespace(texts.drop_null())
    present = bare.filter(pc.invert(is_missing(bare, MISSING_TEXTS)))
    return len(present) > 0 and bool(pc.all(pc.match_substring_regex(present, _MONTH)).as_py())


def _are_versions(bare: pa.Array) -> bool:
    """Whether texts of few decimal numbers are equal as numbers, as 1.1 and 1.10 are."""
    decimals = bare.filter(pc.match_substring_regex(bare, _DECIMAL)).unique()
    if not 0 < len(decimals) <= _FEW:
        return False
    values, _ = seconds_of(numbers_in_text(decimals, MISSING_TEXTS))
    return len(np.unique(values)) < len(decimals)


def _are_codes(texts: pa.Array) -> bool:
    bare = pc.ascii_trim_whitespace(texts.drop_null())
    if _are_versions(bare):
        return True
    if pc.any(pc.match_substring_regex(bare, _CODE)).as_py():
        return True
    numbers = bare.filter(pc.match_substring_regex(bare, "[0-9]"))
    lengths = pc.binary_length(numbers).unique()
    return len(lengths) == 1 and bool(pc.all(pc.match_substring_regex(numbers, _DIGITS)).as_py())
