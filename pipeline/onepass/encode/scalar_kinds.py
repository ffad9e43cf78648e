"""Describe how numbers, truth values, times and categories are read, as parts of the schema."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from onepass.encode.kind import Kind


class MayBeText(Kind):
    """Numbers or times, which files may store as text."""

    text: bool = False
    """Whether files may store the numbers, or the times by ISO 8601, as text."""
    missing_texts: list[str] = Field(default_factory=list)
    """Texts in lower case that stand for a missing value, as blank text always does; those that
    are numbers or moments stand for a missing value in columns of these types as well."""


class Category(Kind):
    """A category, whose levels are named by text."""

    whole: bool = False
    """Whether floats are read as well; a whole number is then the level of the same integer."""
    text: bool = False
    """Whether integers are read from text as well, and text from integers: the same digits are the
    same level."""
    blank_is_null: bool = False
    """Whether empty and blank text is missing; a level like any other by default."""
    missing_texts: list[str] = Field(default_factory=list)
    """Texts in lower case that stand for a missing value, if blank text does; levels like any other
    by default."""


class Numeric(MayBeText):
    """A number, centred and scaled by the sample. Null and non-finite values are imputed."""

    kind: Literal["numeric"] = "numeric"
    name: str
    center: float
    """Mean of the sample. It is subtracted before rounding to float32, and is the imputed value."""
    scale: float = Field(gt=0)
    """Standard deviation of the sample."""
    missing: bool
    """Whether a 0/1 feature marks missing values."""
    low: float | None = None
    """Smaller finite values are read as this one; None if there is no such bound."""
    high: float | None = None
    """Larger finite values are read as this one; None if there is no such bound."""
    log_unit: float | None = Field(default=None, gt=0)
    """If set, x is read as sign(x) log(1 + |x| / log_unit), after clipping; `center` and `scale`
    are those of the clipped values or of their logarithms."""
    decimal_mark: Literal[".", ","] | None = None
    """Decimal mark of texts with groups of thousands and with signs of currencies and percent,
    which are left out; None for plain numbers, maybe with an exponent."""
    duration: bool = False
    """Whether the values are lengths of time, which are read in seconds."""

    @property
    def is_curbed(self) -> bool:
        """Whether values are clipped or read as a logarithm."""
        return not self.low is self.high is self.log_unit is None

    def uncurbed(self, value: float) -> float:
        """Return the number that is read as `value`, which lies within the bounds."""
        if self.log_unit is None:
            return value
        return math.copysign(self.log_unit * math.expm1(abs(value)), value)

    @property
    def curb(self) -> str:
        """How large values are treated, in a few words; empty if they are read as they are."""
        log = "" if self.log_unit is None else f"log(1 + x/{self.log_unit:.4g})"
        if self.low is not None and self.high is not None:
            bounds = f"within [{self.low:.4g}, {self.high:.4g}]"
        elif self.high is not None:
            bounds = f"at most {self.high:.4g}"
        else:
            bounds = "" if self.low is None else f"at least {self.low:.4g}"
        return ", ".join(text for text in (log, bounds) if text)

    def feature_names(self) -> list[str]:
        """Return the name of each dense feature, in order."""
        return [self.name, *([f"{self.name} is null"] if self.missing else [])]


class Bool(Kind):
    """A truth value as 0 or 1."""

    kind: Literal["bool"] = "bool"
    name: str
    missing: bool
    """Whether a 0/1 feature marks missing values."""

    def feature_names(self) -> list[str]:
        """Return the name of each dense feature, in order."""
        return [self.name, *([f"{self.name} is null"] if self.missing else [])]


class Time(MayBeText):
    """A date or timestamp, as a trend and as the cycles that the sample spans."""

    kind: Literal["time"] = "time"
    name: str
    center: float
    """Mean of the sample, in seconds since 1970."""
    scale: float = Field(gt=0)
    """Standard deviation of the sample, in seconds."""
    parts: list[Literal["trend", "hour", "weekday", "year"]]
    """Groups of features: a linear trend; sine and cosine of the hour of the day and of the year;
    0/1 for each weekday but Monday."""
    missing: bool
    """Whether a 0/1 feature marks missing values."""
    zone: str | None = None
    """Zone whose clocks and calendar the cycles follow; those of UTC if None. A value that does not
    say its distance to UTC is taken as it is."""
    format: str | None = None
    """How text and numbers are read: the directives of `strptime`, or the unit of the numbers since
    1970, a key of `onepass.time_words.EPOCHS`; text by ISO 8601 if None."""
    clock: bool = False
    """Whether the values are times of day, without a date."""

    def feature_names(self) -> list[str]:
        """Return the name of each dense feature, in order."""
        names: list[str] = []
        for part in self.parts:
            match part:
                case "trend":
                    names.append(f"{self.name} (trend)")
                case "weekday":
                    names += [f"{self.name} is {day}" for day in _WEEKDAYS]
                case cycle:
                    names += [f"{self.name} {cycle} sin", f"{self.name} {cycle} cos"]
        return [*names, *([f"{self.name} is null"] if self.missing else [])]


class OneHot(Category):
    """A category with a 0/1 feature for each level but the first, which is the reference."""

    kind: Literal["one_hot"] = "one_hot"
    name: str
    family: Literal["integer", "text", "bool"]
    levels: list[str] = Field(min_length=1)
    """Levels seen in the sample, most frequent first."""
    missing: bool
    """Whether a 0/1 feature marks missing values."""

    def feature_names(self) -> list[str]:
        """Return the name of each dense feature, in order."""
        names = [f"{self.name} = {level}" for level in self.levels[1:]]
        names += [f"{self.name} is null"] if self.missing else []
        return [*names, f"{self.name} is unknown"]


class Hashed(Category):
    """A category with too many levels to list. The hash of a value selects its weight."""

    kind: Literal["hashed"] = "hashed"
    name: str
    family: Literal["integer", "text", "bool"]

    @property
    def is_hashed(self) -> bool:
        """See `Kind.is_hashed`."""
        return True

    def feature_names(self) -> list[str]:
        """Return no name: hashed columns have no dense feature."""
        return []


_WEEKDAYS = ("Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
