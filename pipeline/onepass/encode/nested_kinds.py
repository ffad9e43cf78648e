"""Describe how columns of lists and maps become numbers, as parts of the frozen schema."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from onepass.encode.kind import Kind


class Vector(Kind):
    """Lists of numbers of one length, such as embeddings: a dense feature for each element.

    Null elements and elements that are not finite are imputed, and so are all elements of a null
    list. A list of another length is an error.
    """

    kind: Literal["vector"] = "vector"
    name: str
    center: list[float] = Field(min_length=1)
    """Mean of each element in the sample; it is subtracted, and is the imputed value."""
    scale: list[float]
    """Standard deviation of each element in the sample."""
    missing: bool
    """Whether a 0/1 feature marks lists that are null."""
    missing_texts: list[str] = Field(default_factory=list)
    """Words for a missing value; the numbers among them are missing elements."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Vector:
        if len(self.scale) != len(self.center):
            raise ValueError(f"{len(self.scale)} scales of {len(self.center)} elements")
        if min(self.scale) <= 0:
            raise ValueError("a scale must be greater than 0")
        return self

    @property
    def length(self) -> int:
        """Number of elements of each list."""
        return len(self.center)

    def feature_names(self) -> list[str]:
        """Return the name of each dense feature, in order."""
        names = [f"{self.name}[{i}]" for i in range(self.length)]
        return [*names, *([f"{self.name} is null"] if self.missing else [])]


class _BagBase(Kind):
    name: str
    family: Literal["integers", "texts", "entries"]
    """Lists of integers, lists of texts, or maps from text to text, whose values are ``key=value``.
    """
    counted: bool = False
    """Whether a value counts as often as a list has it; else once."""
    per_row: float = Field(ge=0)
    """Mean number of values of a row in the sample."""
    missing_texts: list[str] = Field(default_factory=list)
    """Words in lower case for a missing value, which is left out as null is; the numbers among them
    stand for the same numbers."""


class Bag(_BagBase):
    """Lists of a few values, whose order does not matter: a dense feature for each value.

    Null elements, blank texts and words for a missing value are left out. An empty list is 0 in all
    features.
    """

    kind: Literal["bag"] = "bag"
    levels: list[str] = Field(min_length=1)
    """Values seen in the sample, most frequent first."""
    missing: bool
    """Whether a 0/1 feature marks lists that are null."""

    def feature_names(self) -> list[str]:
        """Return the name of each dense feature, in order."""
        names = [f"{self.name} = {level}" for level in self.levels]
        names += [f"{self.name} is null"] if self.missing else []
        return [*names, f"{self.name} is unknown"]


class _Sparse(Kind):
    per_row: float = Field(ge=0)
    """Mean number of entries of a row in the sample."""

    @property
    def entries_per_row(self) -> float:
        """Mean number of entries of a row in the sample."""
        return self.per_row

    @property
    def has_entries(self) -> bool:
        """Whether the column becomes entries of sparse rows."""
        return True

    def feature_names(self) -> list[str]:
        """Return no name: sparse columns have no dense feature."""
        return []


class HashedBag(_BagBase, _Sparse):
    """Lists of too many values to name: the hash of each value selects its weight.

    Null elements, blank texts and words for a missing value are left out. A null list is one value
    of its own.
    """

    kind: Literal["hashed_bag"] = "hashed_bag"


class WeightMap(_Sparse):
    """Maps from a text or an integer to a number: the hash of a key selects its weight.

    An entry without a number is left out, as one of 0. A null map is one key of its own.
    """

    kind: Literal["weight_map"] = "weight_map"
    name: str
    scale: float = Field(gt=0)
    """Divides the numbers: the root of their mean square in the sample."""
    missing_texts: list[str] = Field(default_factory=list)
    """Words for a missing value; the numbers among them are left out as null is."""


class Pairs(_Sparse):
    """A sparse row in two columns: a list of indices and a list of their numbers.

    The hash of an index selects its weight. A pair without a number is left out, as one of 0. Where
    only the list of indices is null, the numbers are those of the indices 0, 1, 2, and so on.
    """

    kind: Literal["pairs"] = "pairs"
    name: str
    """Both names with a colon between them, as the job has them."""
    index: str
    """Column of the indices."""
    value: str
    """Column of the numbers."""
    scale: float = Field(gt=0)
    """Divides the numbers: the root of their mean square in the sample."""
    missing_texts: list[str] = Field(default_factory=list)
    """Words for a missing value; the numbers among them are left out as null is."""

    @property
    def source_names(self) -> tuple[str, ...]:
        """See `Kind.source_names`."""
        return (self.index, self.value)
