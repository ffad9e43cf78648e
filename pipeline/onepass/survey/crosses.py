"""Make the crosses of columns that the job asks for, from the sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import FloatArray, IntArray
from onepass.encode.crosses import read_levels, standardised
from onepass.encode.missing import as_words
from onepass.encode.scalar_kinds import Bool, Hashed, Numeric, OneHot, Time
from onepass.encode.schema import family
from onepass.encode.shapes import Bins, Cross, Product, Spline
from onepass.errors import JobError
from onepass.survey.choice import Choice
from onepass.survey.naming import naming
from onepass.survey.profile import ColumnProfile
from onepass.survey.scale import location_and_scale
from onepass.survey.uses import NEARLY_UNIQUE, Words, is_whole, values_of

_FEWEST_ROWS = 100
"""Rows of a sample below which the number of combinations says nothing."""


def crossed(
    profiles: Sequence[ColumnProfile], sample: pa.Table, choice: Choice
) -> list[ColumnProfile]:
    """Return a profile of each cross that the job asks for.

    Parameters
    ----------
    profiles
        Profiles of all columns of the sample, parts that are no features on their own included.

    Raises
    ------
    JobError
        If a column cannot be a part of a cross, or a cross has the name of a column.
    """
    known = {profile.name: profile for profile in profiles}
    found = []
    for names in choice.crosses:
        name = "*".join(names)
        if name in known:
            raise JobError(f"--cross {name}: the lake has a column of this name")
        parts = [_part(name, known[one], sample, choice) for one in names]
        values = [sample.column(one).combine_chunks() for one in names]
        numbers = [part for part in parts if isinstance(part, Numeric)]
        if len(numbers) == len(parts):
            found.append(_product(name, numbers, values))
        else:
            found.append(_cross(name, parts, values))
    return found


def without_mere_parts(profiles: Sequence[ColumnProfile], choice: Choice) -> list[ColumnProfile]:
    """Return the profiles, in which columns are left out that are features in crosses only."""
    return [
        one
        if choice.wants(one.name)
        else replace(one, use=None, reason="in crosses only, as the job says", warning=None)
        for one in profiles
    ]


def _part(
    cross: str, profile: ColumnProfile, sample: pa.Table, choice: Choice
) -> Numeric | Hashed | Bins:
    match profile.use:
        case Numeric() | Hashed() | Bins():
            return profile.use
        case Spline():
            return profile.use.number
        case OneHot() as use:
            # The same reading of values, with whatever fields it has.
            return Hashed(**use.model_dump(include={*Hashed.model_fields} - {"kind"}))
        case Bool():
            return Hashed(name=profile.name, family="bool")
        case None if family(sample.column(profile.name).type) == "text" and profile.distinct > 1:
            # Nearly every text is different, but the user knows better.
            words = list(Words(as_words(choice.missing)).all)
            return Hashed(name=profile.name, family="text", blank_is_null=True, missing_texts=words)
        case Time():
            why = "is a date or a time; write the part of it that matters, such as the hour, to a "
            why += "column of its own"
        case _:
            why = f"cannot be a part of a cross: {profile.reason}"
    raise JobError(f"--cross {cross}: column {profile.name!r} {why}")


def _cross(
    name: str, parts: Sequence[Numeric | Hashed | Bins], values: Sequence[pa.Array]
) -> ColumnProfile:
    pairs = list(zip(parts, values, strict=True))
    categories = [(part, own) for part, own in pairs if not isinstance(part, Numeric)]
    numbers = [(part, own) for part, own in pairs if isinstance(part, Numeric)]
    codes = [_codes(part, own) for part, own in categories]
    n_combinations = len(np.unique(_combined([own for own, _ in codes])))
    null = np.any([is_null for _, is_null in codes], axis=0)
    for part, own in numbers:
        null |= ~np.isfinite(standardised(part, own))
    use = Cross(
        name=name,
        parts=[part for part, _ in categories],
        numbers=[part for part, _ in numbers],
    )
    reason = f"{n_combinations:,} combinations in the sample"
    if numbers:
        of = "*".join(part.name for part, _ in categories)
        reason = f"a slope for each of {n_combinations:,} levels of {of} in the sample"
        whole = [part.name for part, own in numbers if is_whole(values_of(part, own))]
        reason += f" ({naming('categorical', *whole)} to cross levels)" if whole else ""
    warning = None
    if len(null) >= _FEWEST_ROWS and n_combinations >= NEARLY_UNIQUE * len(null):
        warning = (
            f"{name}: nearly every row has a combination of its own, from which nothing can be "
            f"learnt for others; cross columns of fewer levels, such as {naming('bins', 'COLUMN')} "
            "of a number"
        )
    return ColumnProfile(name, "cross", float(null.mean()), n_combinations, use, reason, warning)


def _product(name: str, numbers: Sequence[Numeric], values: Sequence[pa.Array]) -> ColumnProfile:
    product = np.prod(
        [standardised(part, own) for part, own in zip(numbers, values, strict=True)], axis=0
    )
    finite: FloatArray = product[np.isfinite(product)]
    center, scale = location_and_scale(finite)
    use = Product(numbers=list(numbers), center=center, scale=scale)
    return ColumnProfile(
        name,
        "cross",
        1 - len(finite) / max(1, len(product)),
        len(np.unique(finite)),
        use,
        "product of numbers, each from its mean",
    )


def _codes(part: Hashed | Bins, values: pa.Array) -> tuple[IntArray, NDArray[np.bool_]]:
    levels = read_levels(part, values)
    # Equal levels have equal hashes, whatever the dictionary.
    _, codes = np.unique(levels.own_hashes(), return_inverse=True)
    return codes.astype(np.int64), levels.values.is_null().to_numpy(zero_copy_only=False)


def _combined(codes: Sequence[IntArray]) -> IntArray:
    """Return a code of each row's combination, from those of its parts."""
    whole = codes[0]
    for own in codes[1:]:
        _, whole = np.unique(whole * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
    return whole
