"""Count the elements of lists and maps in the sample."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from onepass.encode.bags import Coded, coded_lists
from onepass.encode.columns import plain
from onepass.encode.lists import lists_of
from onepass.encode.missing import missing_numbers
from onepass.encode.schema import family
from onepass.encode.weighted import map_of
from onepass.survey.uses import NO_WORDS, Words, present_values


@dataclass(frozen=True, slots=True)
class SampledLists:
    """A column of lists or maps in the sample."""

    name: str
    values: pa.Array
    kind: str
    """Family of its type."""
    null_share: float
    """Share of null rows in the sample."""
    n_lists: int
    """Number of rows that are not null."""
    mean_length: float
    """Mean number of elements of these rows."""
    longest: int
    """Greatest number of elements."""
    one_length: bool
    """Whether all these rows have the same number of elements."""
    coded: Coded | None
    """The elements as codes; None if they are no values of a bag."""
    words: Words = NO_WORDS
    """Words for a missing value."""
    found: tuple[str, ...] = ()
    """Elements that stand for a missing one, as they are written; "" for blanks."""

    @property
    def missing_texts(self) -> list[str]:
        """The words for a missing value that may occur among the elements."""
        return list(missing_words(self.kind, self.words))

    @property
    def distinct(self) -> int:
        """Number of distinct texts, integers or keys; 0 for other numbers."""
        return 0 if self.coded is None else len(self.coded.elements.dictionary)

    @property
    def n_elements(self) -> int:
        """Number of elements of all rows."""
        return round(self.mean_length * self.n_lists)

    @property
    def entries_per_row(self) -> float:
        """Mean number of entries of a row, null rows included."""
        return self.n_elements / max(1, len(self.values)) + self.null_share

    @property
    def sizes(self) -> str:
        """The numbers of elements, in a few words."""
        if self.one_length:
            return f"{self.longest} a row"
        return f"{self.mean_length:.3g} a row, at most {self.longest:,}"


def sampled_lists(name: str, values: pa.Array, words: Words = NO_WORDS) -> SampledLists:
    """Count the elements of a column; words for a missing value are null among them."""
    kind, lists = family(values.type), lists_of(values)
    length = lists.length[~lists.is_null]
    found: Coded | None = None
    if kind == "weights":
        found = map_of(values).keys
    elif kind != "reals":
        found = coded_lists(values, missing_words(kind, words))
    return SampledLists(
        name,
        values,
        kind,
        float(lists.is_null.mean()) if len(values) else 0.0,
        len(length),
        float(length.mean()) if len(length) else 0.0,
        int(length.max(initial=0)),
        bool(len(length)) and bool((length == length[0]).all()),
        found,
        words,
        _found_missing(values, words),
    )


def missing_words(kind: str, words: Words) -> tuple[str, ...]:
    """Return the words for a missing value that may occur in lists or maps of this family."""
    if kind in {"texts", "entries"}:
        return words.all
    return words.named if len(missing_numbers(words.named)) else ()


def _found_missing(values: pa.Array, words: Words) -> tuple[str, ...]:
    lists = lists_of(values)
    elements = plain(lists.of(values.items if pa.types.is_map(values.type) else values.values))
    return present_values(elements, words)[1]


def lengths(values: pa.Array) -> pa.Array:
    """Return the number of elements of each row, null for a null row."""
    lists = lists_of(values)
    return pa.array(lists.length, mask=lists.is_null)
