"""The frozen decision how each column becomes numbers, kept in `model.json`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, TypeAlias

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

Family: TypeAlias = Literal["integer", "real", "bool", "time", "text", "other"]

HiveType: TypeAlias = Literal["integer", "date", "text"]

TIME_PARTS = {"trend": 1, "hour": 2, "weekday": 6, "year": 2}
"""Width of each feature group that a date or timestamp can give."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Numeric(_Frozen):
    """A number, centred and scaled by the sample; null and non-finite values are imputed."""

    kind: Literal["numeric"] = "numeric"
    name: str
    center: float
    """Mean of the sample: subtracted before rounding to float32, and the imputed value."""
    scale: float = Field(gt=0)
    """Standard deviation of the sample."""
    missing: bool
    """Whether a 0/1 feature tells missing values apart."""

    def feature_names(self) -> list[str]:
        """One name per dense feature, in order."""
        return [self.name, *([f"{self.name} is null"] if self.missing else [])]


class Bool(_Frozen):
    """A truth value as 0 or 1."""

    kind: Literal["bool"] = "bool"
    name: str
    missing: bool
    """Whether a 0/1 feature tells missing values apart."""

    def feature_names(self) -> list[str]:
        """One name per dense feature, in order."""
        return [self.name, *([f"{self.name} is null"] if self.missing else [])]


class Time(_Frozen):
    """A date or timestamp as a trend and the cycles that the sample spans."""

    kind: Literal["time"] = "time"
    name: str
    center: float
    """Mean of the sample, in seconds since 1970."""
    scale: float = Field(gt=0)
    """Standard deviation of the sample, in seconds."""
    parts: list[Literal["trend", "hour", "weekday", "year"]]
    """A linear trend; hour and year as sine and cosine; six weekdays (not Monday)."""
    missing: bool
    """Whether a 0/1 feature tells missing values apart."""

    def feature_names(self) -> list[str]:
        """One name per dense feature, in order."""
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


class OneHot(_Frozen):
    """A category with a 0/1 feature for each level but the first, which is the reference."""

    kind: Literal["one_hot"] = "one_hot"
    name: str
    family: Literal["integer", "text", "bool"]
    levels: list[str] = Field(min_length=1)
    """Levels seen in the sample, most frequent first."""
    missing: bool
    """Whether a 0/1 feature tells missing values apart."""

    def feature_names(self) -> list[str]:
        """One name per dense feature, in order."""
        names = [f"{self.name} = {level}" for level in self.levels[1:]]
        names += [f"{self.name} is null"] if self.missing else []
        return [*names, f"{self.name} is unknown"]


class Hashed(_Frozen):
    """A category with too many levels to list: the hash of each value picks its weight."""

    kind: Literal["hashed"] = "hashed"
    name: str
    family: Literal["integer", "text"]

    def feature_names(self) -> list[str]:
        """Hashed columns have no dense feature."""
        return []


Column: TypeAlias = Annotated[Numeric | Bool | Time | OneHot | Hashed, Field(discriminator="kind")]


class Label(_Frozen):
    """The column to predict."""

    name: str
    family: Literal["number", "bool", "text"] = "number"
    """What the column holds; numbers and truth values are read alike, text is not."""
    center: float = 0.0
    """Subtracted from the label of squared, huber and quantile loss; 0 for all others."""
    scale: float = Field(default=1.0, gt=0)
    """Divides the label of squared, huber and quantile loss; 1 for all others."""
    base: float = 0.0
    """Margin at which learning starts: log of the mean label for poisson and gamma, else 0."""
    domain: Literal["real", "non_negative", "positive"] = "real"
    """Numbers that the loss can learn from."""
    classes: list[str] | None = None
    """Texts of the classes; of two the negative one comes first. None for a regression label."""


class Schema(_Frozen):
    """How a lake's rows become blocks."""

    columns: list[Column]
    label: Label
    weight: str | None
    """Column with the importance of each row."""
    hash_bits: int = Field(ge=1, le=26)
    """log2 of the number of hashed weights; unused without hashed columns."""
    hive: dict[str, HiveType]
    """Type of each column that is written as a key=value folder."""

    def feature_names(self) -> list[str]:
        """Names of the dense features, in the order of their columns in a block."""
        return [name for column in self.columns for name in column.feature_names()]

    @property
    def n_dense(self) -> int:
        """Number of dense features."""
        return len(self.feature_names())

    @property
    def n_hashed(self) -> int:
        """Number of hashed columns."""
        return sum(column.kind == "hashed" for column in self.columns)

    @property
    def n_slots(self) -> int:
        """Number of hashed weights."""
        return (1 << self.hash_bits) if self.n_hashed else 0

    def names(self, *, label: bool) -> list[str]:
        """Columns that are read from the files (key=value folders left out)."""
        names = [column.name for column in self.columns]
        if label:
            names += [self.label.name, *([self.weight] if self.weight else [])]
        return [name for name in dict.fromkeys(names) if name not in self.hive]

    def text_names(self) -> list[str]:
        """Columns whose values are looked up or hashed once per distinct value."""
        names = [c.name for c in self.columns if isinstance(c, OneHot | Hashed)]
        return [*names, *([self.label.name] if self.label.family == "text" else [])]


@cache
def family(dtype: pa.DataType) -> Family | Literal["null"]:
    """The family of an Arrow type; types within one family are read alike."""
    if pa.types.is_dictionary(dtype):
        return family(dtype.value_type)
    if pa.types.is_null(dtype):
        return "null"
    if pa.types.is_boolean(dtype):
        return "bool"
    if pa.types.is_integer(dtype):
        return "integer"
    if pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "real"
    if pa.types.is_date(dtype) or pa.types.is_timestamp(dtype):
        return "time"
    if (
        pa.types.is_string(dtype)
        or pa.types.is_large_string(dtype)
        or pa.types.is_string_view(dtype)
    ):
        return "text"
    return "other"


@dataclass(frozen=True, slots=True)
class Reads:
    """Families of types that one use of a column reads without a change of meaning."""

    families: tuple[str, ...]
    text: str
    """The same in words."""


READS = {
    "number": Reads(("integer", "real"), "a number (integer, float or decimal of any width)"),
    "truth value": Reads(("bool",), "a bool"),
    "time": Reads(("time",), "a date or a timestamp"),
    "integer category": Reads(("integer",), "an integer of any width"),
    "text category": Reads(("text",), "text (string, large_string, string_view)"),
    "bool category": Reads(("bool",), "a bool"),
    "label of numbers": Reads(("integer", "real", "bool"), "a number or a bool"),
    "label of text": Reads(("text",), "text"),
    "weight": Reads(("integer", "real", "bool"), "a number or a bool"),
}
"""All safe widenings, and narrowings, there are.

Files may differ within each line, and each type may be the values of a dictionary. A column without
a value fits everywhere but as a weight, whatever its type. All else is an error.
"""


def uses(schema: Schema, *, label: bool) -> list[tuple[str, str]]:
    """Name and use, a key of `READS`, of each column that is read from the files."""
    found = [(column.name, use_of(column)) for column in schema.columns]
    if label:
        found.append((schema.label.name, label_use(schema.label)))
        found += [(schema.weight, "weight")] if schema.weight else []
    return [(name, use) for name, use in found if name not in schema.hive]


def use_of(column: Column) -> str:
    """What a column is used as: a key of `READS`."""
    match column:
        case Numeric():
            return "number"
        case Bool():
            return "truth value"
        case Time():
            return "time"
        case OneHot() | Hashed():
            return f"{column.family} category"


def label_use(label: Label) -> str:
    """What a label is used as: a key of `READS`."""
    return "label of text" if label.family == "text" else "label of numbers"


def is_readable(use: str, dtype: pa.DataType) -> bool:
    """Whether a type is among those that a use reads."""
    found = family(dtype)
    return found == "null" or found in READS[use].families


_WEEKDAYS = ("Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
