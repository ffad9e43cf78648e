"""Decide how columns of lists and maps become numbers.

- Lists of numbers of one length are vectors.
- Lists of integers of different lengths, or named like ids, are bags; the user may choose.
- Lists of text are bags, and so are maps to text, as ``key=value``.
- Maps to numbers are weights by key, and pairs of lists sparse rows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.bags import Coded
from onepass.encode.columns import as_text, floats, plain
from onepass.encode.lists import lists_of
from onepass.encode.nested_kinds import Bag, HashedBag, Pairs, Vector, WeightMap
from onepass.encode.schema import Column, family
from onepass.encode.vectors import element_numbers, known_numbers
from onepass.encode.weighted import map_of
from onepass.errors import JobError
from onepass.survey.naming import naming
from onepass.survey.sampled_lists import SampledLists, sampled_lists
from onepass.survey.scale import location_and_scale
from onepass.survey.uses import NEARLY_UNIQUE, NO_WORDS, ONE_HOT_LEVELS, Words

NESTED = frozenset({"integers", "reals", "texts", "nulls", "weights", "entries"})
"""Families of lists and maps."""

ListUse: TypeAlias = Literal["auto", "vector", "bag"]
"""Use of a list column that the job asks for; auto leaves it to the sample."""

Decision: TypeAlias = tuple[Column | None, str, str | None]
"""The use of a column, the reason, and a warning."""

_NAMED_BAG = re.compile(
    r"(^|[_\W])(ids|keys|codes|tags|labels|categories|topics|items|skus)$", re.IGNORECASE
)
_CAMEL_BAG = re.compile(r"[a-z](Ids|IDs|Keys|Codes|Tags|Categories|Items)$")


def planned_lists(use: Vector | Bag) -> str:
    """Return the use of a column in a word or two."""
    return (
        f"vector of {use.length}" if isinstance(use, Vector) else f"bag ({len(use.levels)} values)"
    )


def decide_lists(column: SampledLists, as_what: ListUse, *, counted: bool) -> Decision:
    """Decide the use of a column of lists or maps.

    Parameters
    ----------
    as_what
        The user's choice.
    counted
        Whether the user says that a value counts as often as a list has it.

    Raises
    ------
    JobError
        If the user chooses a use that the lists do not allow.
    """
    if not column.n_elements:
        what = "only nulls" if not column.n_lists else "only empty lists"
        return None, f"{what} in the sample", f"{column.name}: {what} in the sample, left out"
    if as_what == "vector" or (as_what == "auto" and _is_vector(column)):
        _refuse_counts(column, "a vector", counted=counted)
        return _vector(column, as_what)
    if column.kind == "weights":
        _refuse_counts(column, "a map to numbers", counted=counted)
        if as_what == "bag":
            raise JobError(f"--categorical names {column.name!r}, but it is a map to numbers")
        return _weight_map(column), f"map to numbers, {column.sizes}", None
    if column.kind == "reals":
        if as_what == "bag":
            raise JobError(
                f"--categorical names {column.name!r}, but type {column.values.type} has no levels"
            )
        reason = f"lists of numbers of different lengths ({column.sizes})"
        advice = "write lists of one length, or pairs of indices and values (--sparse)"
        return None, reason, f"{column.name}: {reason}, left out; {advice}"
    return _bag(column, as_what, counted=counted)


def _is_vector(column: SampledLists) -> bool:
    if not column.one_length or column.kind not in {"integers", "reals"}:
        return False
    named = _NAMED_BAG.search(column.name) or _CAMEL_BAG.search(column.name)
    return column.kind == "reals" or not named


def _refuse_counts(column: SampledLists, what: str, *, counted: bool) -> None:
    if counted:
        raise JobError(f"--bag-counts names {column.name!r}, but it is read as {what}")


def _vector(column: SampledLists, as_what: ListUse) -> Decision:
    if column.kind not in {"integers", "reals"} or not column.one_length:
        fault = f"type {column.values.type}, no list of numbers"
        if column.kind in {"integers", "reals"}:
            fault = f"lists of different lengths ({column.sizes})"
        raise JobError(f"--numeric names {column.name!r}, but it has {fault}")
    center, scale = _scales(column)
    use = Vector(
        name=column.name,
        center=center,
        scale=scale,
        missing=column.null_share > 0,
        missing_texts=column.missing_texts,
    )
    if as_what == "vector":
        return use, "the job says so", None
    reason = f"lists of {column.longest} numbers"
    if column.kind == "reals":
        return use, reason, None
    advice = f"{naming('categorical', column.name)} to read it as a bag of values"
    text = f"{column.name}: {reason}, all whole; read as a vector ({advice})"
    return use, reason, text


def _scales(column: SampledLists) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each element."""
    lists = lists_of(column.values)
    elements = known_numbers(lists.of(column.values.values), column.missing_texts)
    numbers, begin = element_numbers(elements), lists.begin[~lists.is_null]
    valid = elements.is_valid().to_numpy(zero_copy_only=False) if elements.null_count else None
    found = []
    for j in range(column.longest):
        own = numbers[begin + j].astype(np.float64)
        usable = np.isfinite(own)
        if valid is not None:
            usable &= valid[begin + j]
        found.append(location_and_scale(own[usable]))
    return [center for center, _ in found], [scale for _, scale in found]


def _bag(column: SampledLists, as_what: ListUse, *, counted: bool) -> Decision:
    assert column.coded is not None
    n_valid = len(column.coded.elements) - column.coded.elements.null_count
    if column.kind != "integers" and n_valid >= 100 and column.distinct >= NEARLY_UNIQUE * n_valid:
        reason = "nearly every value is different"
        text = f"{column.name}: {reason} (identifiers or free text), left out"
        if as_what == "auto":
            return None, reason, text
    why = {"integers": "lists of integers", "texts": "lists of text", "entries": "map to text"}
    reason = "the job says so" if as_what == "bag" else f"{why[column.kind]}, {column.sizes}"
    fields: dict[str, object] = {"name": column.name, "family": column.kind, "counted": counted}
    fields |= {"per_row": column.entries_per_row, "missing_texts": column.missing_texts}
    warning = None
    if column.kind == "integers" and as_what == "auto":
        reason += " (named like ids)" if column.one_length else ""
        advice = f"; {naming('numeric', column.name)} to read it as a vector"
        warning = f"{column.name}: {reason}, read as a bag of values"
        warning += advice if column.one_length else ""
    if column.distinct > ONE_HOT_LEVELS:
        more = f"{reason}, more than {ONE_HOT_LEVELS} values"
        return HashedBag.model_validate(fields), more, warning
    fields |= {"levels": _levels(column.coded), "missing": column.null_share > 0}
    return Bag.model_validate(fields), reason, warning


def _levels(found: Coded) -> list[str]:
    """Return the distinct values as text, the most frequent first, equally frequent ones sorted."""
    codes = found.codes
    texts = as_text(plain(found.elements.dictionary)).cast(pa.string()).to_pylist()
    rows = np.bincount(codes[codes >= 0], minlength=len(texts))
    pairs = sorted((-n, text) for n, text in zip(rows.tolist(), texts, strict=True) if n)
    return [text for _, text in pairs]


def _weight_map(column: SampledLists) -> WeightMap:
    words = column.missing_texts
    scale = _root_mean_square(known_numbers(map_of(column.values).elements, words))
    return WeightMap(
        name=column.name, scale=scale, per_row=column.entries_per_row, missing_texts=words
    )


def decide_pairs(
    pair: str, index: pa.Array, value: pa.Array, words: Words = NO_WORDS
) -> tuple[SampledLists, Pairs | None, str]:
    """Describe a pair of columns as sparse rows.

    Parameters
    ----------
    pair
        Names of the columns, as ``indices:values``.
    words
        Words for a missing value; the numbers among them are missing numbers.

    Returns
    -------
    The sampled rows, the use, and the reason.

    Raises
    ------
    JobError
        If a column is no list of its kind.
    """
    names = pair.split(":")
    for name, values, allowed in (
        (names[0], index, {"integers", "texts", "nulls"}),
        (names[1], value, {"integers", "reals", "nulls"}),
    ):
        if family(values.type) not in allowed:
            what = "indices" if name == names[0] else "numbers"
            raise JobError(
                f"--sparse names {name!r} for the lists of {what}, but its type is {values.type}"
            )
    keys, found = sampled_lists(names[0], index), sampled_lists(names[1], value, words)
    # A row is null if both of its lists are: a list of numbers alone has the indices 0, 1, 2, ...
    is_null = lists_of(index).is_null & lists_of(value).is_null
    found = replace(found, null_share=float(is_null.mean()), coded=keys.coded)
    if not found.n_elements:
        return found, None, "only empty lists in the sample"
    use = Pairs(
        name=pair,
        index=names[0],
        value=names[1],
        scale=_root_mean_square(
            known_numbers(lists_of(value).of(value.values), found.missing_texts)
        ),
        per_row=found.entries_per_row,
        missing_texts=found.missing_texts,
    )
    return found, use, f"the job says so, {found.sizes}"


def _root_mean_square(elements: pa.Array) -> float:
    """Return the root of the mean square of the numbers other than 0; 1 without any."""
    numbers: FloatArray = floats(elements)
    numbers = np.abs(numbers[np.isfinite(numbers) & (numbers != 0)])
    # Magnitudes near 1e300 would overflow when squared.
    unit = float(numbers.max(initial=0)) or 1.0
    square = float(((numbers / unit) ** 2).mean()) if len(numbers) else 1.0
    return float(np.sqrt(square)) * unit
