"""Describe how each column becomes numbers: the frozen schema that `model.json` holds."""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import Annotated, Literal, TypeAlias

import pyarrow as pa
from pydantic import Field, model_validator

from onepass.encode.kind import Frozen
from onepass.encode.nested_family import NestedFamily, nested_family
from onepass.encode.nested_kinds import Bag, HashedBag, Pairs, Vector, WeightMap
from onepass.encode.scalar_kinds import Bool, Category, Hashed, MayBeText, Numeric, OneHot, Time
from onepass.encode.shapes import Bins, Cross, Product, Spline

Family: TypeAlias = (
    Literal["integer", "real", "bool", "time", "clock", "duration", "text", "other"] | NestedFamily
)
"""Arrow types that are read in the same way."""

OTHER = "other"
"""Class of all labels that the model does not know, if the job asks for it."""

HiveType: TypeAlias = Literal["integer", "date", "text"]
"""Types that the value of a key=value folder may have."""


Column: TypeAlias = Annotated[
    Numeric
    | Bool
    | Time
    | OneHot
    | Hashed
    | Vector
    | Bag
    | HashedBag
    | WeightMap
    | Pairs
    | Spline
    | Bins
    | Product
    | Cross,
    Field(discriminator="kind"),
]


class Label(Frozen):
    """The column to predict."""

    name: str
    family: Literal["number", "bool", "text"] = "number"
    """Family of the values. A file may store numbers as truth values or the other way round."""
    center: float = 0.0
    """Subtracted from the label for squared, huber and quantile loss; 0 for other losses."""
    scale: float = Field(default=1.0, gt=0)
    """Divides the label for squared, huber and quantile loss; 1 for other losses."""
    base: float = 0.0
    """Margin at which learning starts, beside the offset if there is one: log of the mean label for
    losses with a logarithmic link, that of the share of the positive class for losses with
    probabilities, else 0."""
    level: float | None = None
    """Logarithm of the mean label, for a logarithmic link beside offsets; None without them, where
    it is `base`."""
    variation: float = Field(default=1.0, ge=0)
    """Standard deviation of the label in the sample over its mean, from which gamma, tweedie,
    inverse gaussian and negative binomial loss start; 1 for other losses."""
    domain: Literal["real", "non_negative", "positive"] = "real"
    """Set of numbers that the loss can learn from."""
    domain_of: str | None = None
    """The loss, for messages about labels outside of the domain; None for poisson, and for gamma in
    older models."""
    classes: list[str] | None = None
    """Texts of the classes, the negative one of two first. None for the label of a regression."""
    bases: list[float] | None = None
    """Margin of each class at which softmax starts: log of its share, centred. None for 0."""
    class_weights: list[float] | None = None
    """Factor of the weight of the rows of each class; None for 1."""
    unknown: Literal["error", "drop", "other"] = "error"
    """Treatment of a label of none of the classes; "other" is the class `OTHER`."""
    blank_is_null: bool = False
    """Whether an empty or blank text is a missing label. Models of earlier versions have it as a
    class."""
    missing_texts: list[str] = Field(default_factory=list)
    """Texts in lower case that stand for a missing label, and numbers among them for the same
    numbers."""

    @model_validator(mode="after")
    def _check_classes(self) -> Label:
        classes = self.classes or []
        if self.bases is not None and len(self.bases) != len(classes):
            raise ValueError(f"{len(self.bases)} bases of {len(classes)} classes")
        if self.class_weights is not None and len(self.class_weights) != len(classes):
            raise ValueError(f"{len(self.class_weights)} weights of {len(classes)} classes")
        if self.unknown == "other" and OTHER not in classes:
            raise ValueError(f"unknown classes are learnt as {OTHER!r}, which is not a class")
        return self


class Schema(Frozen):
    """Description of how the rows of a lake become blocks."""

    columns: list[Column]
    label: Label
    weight: str | None
    """Column with the importance of each row; None if all rows count 1."""
    offset: str | None = None
    """Column that is added to the margin; None if there is none."""
    exposure: str | None = None
    """Column whose logarithm is added to the margin; None if there is none."""
    cluster: str | None = None
    """Column whose values tell which rows depend on each other; None if no rows do."""
    folds: int = Field(default=0, ge=0, le=20)
    """Number of folds of cross-validation; 0 for none."""
    fold_by: str | None = None
    """Column of which rows of one value are in one fold; None if the places of rows decide."""
    hash_bits: int = Field(ge=1, le=26)
    """log2 of the number of hashed weights; unused without hashed columns and entries."""
    hive: dict[str, HiveType]
    """Type of each column that is written as a key=value folder."""
    optional: list[str] = Field(default_factory=list)
    """Columns of features that are read as null from a file, or a path, without them."""
    int96: Literal["ns", "us"] = "ns"
    """Unit in which INT96 timestamps are read; nanoseconds wrap around in 2262."""

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
    def has_offset(self) -> bool:
        """Whether rows have a known part of their margin."""
        return self.offset is not None or self.exposure is not None

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

    def sources(self) -> list[Column]:
        """Return the columns of features that are read; one may be there for several uses."""
        return [source for column in self.columns for source in column.sources]

    def counted(self) -> list[Column]:
        """Return the columns whose frequent values are counted, because weights have no names.

        Columns of one slot a row come first, and those with entries last.
        """
        hashed = [column for column in self.columns if column.is_hashed]
        return hashed + [column for column in self.columns if column.has_entries]

    def counted_names(self) -> list[str]:
        """Return the names of the columns whose frequent values are counted."""
        return [column.name for column in self.counted()]

    def names(self, *, label: bool) -> list[str]:
        """Return the columns that are read from the files, which key=value folders are not.

        Parameters
        ----------
        label
            Whether label, weight, cluster and the column of folds are read as well; an offset
            always is.
        """
        names = [name for column in self.columns for name in column.source_names]
        names += [name for name in (self.offset, self.exposure) if name]
        if label:
            beside = (self.label.name, self.weight, self.cluster, self.fold_by)
            names += [name for name in beside if name]
        return [name for name in dict.fromkeys(names) if name not in self.hive]

    def text_names(self) -> list[str]:
        """Return the columns whose texts are read, looked up or hashed once per distinct value."""
        names = [
            name
            for source in self.sources()
            if isinstance(source, Category | Bag | HashedBag | WeightMap)
            or (isinstance(source, MayBeText) and source.text)
            for name in source.source_names
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
    if pa.types.is_time(dtype):
        return "clock"
    if pa.types.is_duration(dtype):
        return "duration"
    if (
        pa.types.is_string(dtype)
        or pa.types.is_large_string(dtype)
        or pa.types.is_string_view(dtype)
    ):
        return "text"
    return nested_family(dtype, family)
