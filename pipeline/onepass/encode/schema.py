"""Describe how each column becomes numbers: the frozen schema that `model.json` holds."""

from __future__ import annotations

import math
from functools import cache
from math import ceil
from typing import Annotated, Literal, TypeAlias

import pyarrow as pa
from pydantic import Field, model_validator

from onepass.encode.column_base import ColumnBase as _Column
from onepass.encode.column_base import Frozen as _Frozen
from onepass.encode.nested_family import NestedFamily, nested_family
from onepass.encode.nested_kinds import Bag, HashedBag, Pairs, Vector, WeightMap
from onepass.encode.shapes import Bins, Cross, Product, Spline

Family: TypeAlias = Literal["integer", "real", "bool", "time", "text", "other"] | NestedFamily
"""Arrow types that are read in the same way."""

OTHER = "other"
"""Class of all labels that the model does not know, if the job asks for it."""

HiveType: TypeAlias = Literal["integer", "date", "text"]
"""Types that the value of a key=value folder may have."""


class _MayBeText(_Column):
    text: bool = False
    """Whether files may store the numbers, or the times by ISO 8601, as text."""
    missing_texts: list[str] = Field(default_factory=list)
    """Texts in lower case that stand for a missing value, as blank text always does."""


class _Category(_Column):
    whole: bool = False
    """Whether floats are read as well; a whole number is then the level of the same integer."""
    blank_is_null: bool = False
    """Whether empty and blank text is missing; a level like any other by default."""


class Numeric(_MayBeText):
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


class Bool(_Column):
    """A truth value as 0 or 1."""

    kind: Literal["bool"] = "bool"
    name: str
    missing: bool
    """Whether a 0/1 feature marks missing values."""

    def feature_names(self) -> list[str]:
        """Return the name of each dense feature, in order."""
        return [self.name, *([f"{self.name} is null"] if self.missing else [])]


class Time(_MayBeText):
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


class OneHot(_Category):
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


class Hashed(_Category):
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


for _shape in (Bins, Spline, Product, Cross):
    _shape.model_rebuild(_types_namespace={"Numeric": Numeric, "Hashed": Hashed, "Bins": Bins})

_Plain: TypeAlias = Numeric | Bool | Time | OneHot | Hashed
_Shaped: TypeAlias = Spline | Bins | Product | Cross
_Nested: TypeAlias = Vector | Bag | HashedBag | WeightMap | Pairs

Column: TypeAlias = Annotated[
    _Plain | _Shaped | _Nested,
    Field(discriminator="kind"),
]


class Label(_Frozen):
    """The column to predict."""

    name: str
    family: Literal["number", "bool", "text"] = "number"
    """Family of the values. A file may store numbers as truth values or the other way round."""
    center: float = 0.0
    """Subtracted from the label for squared, huber and quantile loss; 0 for other losses."""
    scale: float = Field(default=1.0, gt=0)
    """Divides the label for squared, huber and quantile loss; 1 for other losses."""
    base: float = 0.0
    """Margin at which learning starts: log of the mean label for poisson and gamma loss, log odds
    of the positive class for logistic loss, else 0."""
    domain: Literal["real", "non_negative", "positive"] = "real"
    """Set of numbers that the loss can learn from."""
    classes: list[str] | None = None
    """Texts of the classes, the negative one of two first. None for the label of a regression."""
    bases: list[float] | None = None
    """Margin of each class at which softmax starts: log of its share, centred. None for 0."""
    unknown: Literal["error", "drop", "other"] = "error"
    """Treatment of a label of none of the classes; "other" is the class `OTHER`."""
    blank_is_null: bool = False
    """Whether an empty or blank text is a missing label. Models of earlier versions have it as a
    class."""

    @model_validator(mode="after")
    def _check_classes(self) -> Label:
        classes = self.classes or []
        if self.bases is not None and len(self.bases) != len(classes):
            raise ValueError(f"{len(self.bases)} bases of {len(classes)} classes")
        if self.unknown == "other" and OTHER not in classes:
            raise ValueError(f"unknown classes are learnt as {OTHER!r}, which is not a class")
        return self


class Schema(_Frozen):
    """Description of how the rows of a lake become blocks."""

    columns: list[Column]
    label: Label
    weight: str | None
    """Column with the importance of each row; None if all rows count 1."""
    hash_bits: int = Field(ge=1, le=26)
    """log2 of the number of hashed weights; unused without hashed columns and entries."""
    hive: dict[str, HiveType]
    """Type of each column that is written as a key=value folder."""
    optional: list[str] = Field(default_factory=list)
    """Columns of features that are read as null from a file, or a path, without them."""

    def feature_names(self) -> list[str]:
        """Return the names of the dense features, in the order of their columns in a block."""
        return [name for column in self.columns for name in column.feature_names()]

    @property
    def n_dense(self) -> int:
        """Number of dense features."""
        return len(self.feature_names())

    @property
    def n_hashed(self) -> int:
        """Number of hashed columns, crosses of categories among them."""
        return sum(column.is_hashed for column in self.columns)

    @property
    def has_entries(self) -> bool:
        """Whether rows have entries, beside the one slot of each hashed column."""
        return any(column.has_entries for column in self.columns)

    @property
    def n_selected(self) -> int:
        """Number of hashed weights that a row selects: one a hashed column, and its entries'.

        Rows differ in their number of entries, so theirs is the mean, rounded up.
        """
        return self.n_hashed + ceil(sum(column.entries_per_row for column in self.columns))

    @property
    def n_slots(self) -> int:
        """Number of hashed weights."""
        return (1 << self.hash_bits) if self.n_hashed or self.has_entries else 0

    def counted_names(self) -> list[str]:
        """Return the columns whose frequent values are counted, because weights have no names.

        Columns of one slot a row come first.
        """
        hashed = [column.name for column in self.columns if column.is_hashed]
        return hashed + [column.name for column in self.columns if column.has_entries]

    def names(self, *, label: bool) -> list[str]:
        """Return the columns that are read from the files, which key=value folders are not.

        Parameters
        ----------
        label
            Whether label and weight are read as well.
        """
        names = [name for column in self.columns for name in column.sources]
        if label:
            names += [self.label.name, *([self.weight] if self.weight else [])]
        return [name for name in dict.fromkeys(names) if name not in self.hive]

    def text_names(self) -> list[str]:
        """Return the columns whose texts are read, looked up or hashed once per distinct value."""
        names = [
            name
            for column in self.columns
            for one in column.inputs
            if isinstance(one, _Category | Bag | HashedBag | WeightMap)
            or (isinstance(one, _MayBeText) and one.text)
            for name in one.sources
        ]
        return [*names, *([self.label.name] if self.label.family == "text" else [])]


@cache
def family(dtype: pa.DataType) -> Family | Literal["null"]:
    """Return the family of an Arrow type, that of the values for a dictionary."""
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
    return nested_family(dtype, family)


_WEEKDAYS = ("Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
