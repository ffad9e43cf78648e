"""The coefficients of one margin, in the units of the columns."""

from __future__ import annotations

from collections.abc import Iterator

from onepass.actions.coefficient import Coefficient
from onepass.actions.inference.design import Design
from onepass.actions.inference.estimates import estimates
from onepass.actions.inference.margin import Margin
from onepass.actions.inference.ratios import ratio


def coefficients(
    made: Design, margin: Margin, level: float, *, ratios: bool
) -> Iterator[Coefficient]:
    """Yield the coefficients of a margin, the intercept last.

    Parameters
    ----------
    level
        Coverage of the intervals.
    ratios
        Whether the exponential of a coefficient has a meaning.
    """
    found = estimates(margin, made.matrix, level, intercept=True)
    aliased, unknown = margin.aliased, margin.unknown
    for place, one in enumerate(found):
        own, is_moved = int(made.own[place]), bool(made.moved[place])
        is_aliased = own >= 0 and not is_moved and bool(aliased[own])
        effect = one.value if is_moved else float(margin.dense[own])
        name = made.names[place]
        is_empty = bool(unknown[own]) and not (aliased[own] or margin.dense[own])
        if is_empty and name.endswith(" is unknown"):
            # No row had such a value.
            continue
        yield Coefficient(
            feature=name,
            column=made.columns[place] or None,
            output=margin.name,
            coefficient=one.value,
            aliased=is_aliased,
            std_error=one.std_error,
            model_error=one.model_error,
            robust_error=one.robust_error,
            z=one.z,
            p_value=one.p_value,
            low=one.low,
            high=one.high,
            ratio=ratio(one.value) if ratios and not is_aliased else None,
            ratio_low=ratio(one.low) if ratios else None,
            ratio_high=ratio(one.high) if ratios else None,
            read_as=made.read_as[place],
            effect=effect,
        )
