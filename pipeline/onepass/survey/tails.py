"""Decide how the heavy tails of numbers are read: as they are, clipped, or as a logarithm.

A tail is heavy if the outermost values lie far beyond the quantiles that nearly all values keep to.
``clip`` and ``log`` treat each heavy tail. ``auto`` asks the labels of the sample: a form replaces
the one before it only if a line through it predicts labels that it has not seen clearly better.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.tails import curbed_numbers
from onepass.survey.lake_warnings import absurd_value
from onepass.survey.lines import Lines, Outcome
from onepass.survey.profile import ColumnProfile
from onepass.survey.scale import location_and_scale
from onepass.survey.uses import numbers_of

Tails: TypeAlias = Literal["auto", "keep", "clip", "log"]
"""As in the job."""

FEWEST = 200
"""Number of values below which a sample says nothing about tails."""

LEVELS = ((0.005, 1.0), (0.05, 3.0))
"""Shares of the values beyond a bound on either side, each with the distance of the outermost
value from the bound, in widths of the range between the bounds, from which the tail is heavy."""

CLEARLY = 4.0
"""Standard errors by which a form must predict better than the one before it."""

WORTHWHILE = 0.05
"""Share of what the form before explains by which a form must explain more."""


def curb_tails(
    profiles: list[ColumnProfile], sample: pa.Table, labels: Outcome | None, tails: Tails
) -> tuple[list[ColumnProfile], list[str]]:
    """Decide how the heavy tails of all columns of numbers are read.

    Parameters
    ----------
    labels
        Labels of the sample, which ``auto`` asks. Without labels it keeps all values.

    Returns
    -------
    The profiles, and a warning for each column that ``auto`` changed.
    """
    if tails == "keep" or (tails == "auto" and labels is None):
        return profiles, []
    labels = labels if tails == "auto" else None
    found, warnings = [], []
    for profile in profiles:
        curbed = None
        if isinstance(profile.use, Numeric) and not profile.use.is_curbed:
            values = numbers_of(profile.use, sample.column(profile.name).combine_chunks())
            curbed = _choose(values, profile.use, labels, tails)
        if curbed is None:
            found.append(profile)
            continue
        why = "the labels do not follow its tail" if labels else "it has a heavy tail"
        found.append(replace(profile, use=curbed, reason=f"{profile.reason}; {why}"))
        # The warning about an absurd value tells how it is read.
        if labels and _absurd(values) is None:
            warnings.append(_warning(values, curbed))
    return found, warnings


def _choose(
    values: FloatArray, column: Numeric, labels: Outcome | None, tails: Tails
) -> Numeric | None:
    """Return the form in which a column is read; None if its values are kept."""
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST or np.ptp(finite / 2) == 0:
        return None
    clips = list(_clips(finite, column))
    if not clips:
        return None
    log = _log(finite, column)
    if labels is None:
        chosen = log if tails == "log" and log is not None else next(iter(clips), None)
    else:
        chosen = _best(values, [*clips, *([log] if log is not None else [])], column, labels)
    if chosen is None:
        return None
    center, scale = location_and_scale(curbed_numbers(finite, chosen))
    return chosen.model_copy(update={"center": center, "scale": scale})


def _best(
    values: FloatArray, forms: list[Numeric], column: Numeric, labels: Outcome
) -> Numeric | None:
    """Return the form that predicts clearly better than each one before it; None if none does."""
    lines = Lines(values, labels)
    if lines.n_rows < FEWEST:
        return None
    constant = lines.margins(np.zeros_like(lines.x))
    kept = best = lines.margins(lines.x)
    chosen, first = None, None
    for form in forms:
        new = lines.margins(curbed_numbers(lines.x, form))
        first = new if first is None else first
        gain, error = lines.gain(new, best)
        explained = max(0.0, lines.gain(best, constant)[0])
        if gain > CLEARLY * error and gain > WORTHWHILE * explained:
            best, chosen = new, form
    # An absurd value decides the line alone, so it is clipped unless the labels speak for it.
    if chosen is None and first is not None and _absurd(values) is not None:
        gain, error = lines.gain(first, kept)
        return forms[0] if gain > -CLEARLY * error else None
    return chosen


def _absurd(values: FloatArray) -> float | None:
    return absurd_value(values[np.isfinite(values)])


def _clips(finite: FloatArray, column: Numeric) -> Iterator[Numeric]:
    """Yield the column with bounds at each level at which a tail is heavy."""
    for share, widths in LEVELS:
        bounds = _heavy(finite, share, widths)
        if bounds != (None, None):
            yield column.model_copy(update={"low": bounds[0], "high": bounds[1]})


def _log(finite: FloatArray, column: Numeric) -> Numeric | None:
    """Return the column as a logarithm; None if it has values below 0."""
    above = finite[finite > 0]
    share, widths = LEVELS[0]
    if finite.min() < 0 or len(above) < FEWEST:
        return None
    log = column.model_copy(update={"log_unit": log_unit(above)})
    # Values may be absurd even by their logarithm.
    if _heavy(curbed_numbers(finite, log), share, widths)[1] is not None:
        log = log.model_copy(
            update={"high": float(np.quantile(finite, 1 - share, method="nearest"))}
        )
    return log


def log_unit(magnitudes: FloatArray) -> float:
    """Return the unit by which numbers above 0 are divided before their logarithm is taken.

    It lies below nearly all of them, so that they are spread as by a true logarithm.
    """
    return float(np.quantile(magnitudes, 0.05, method="nearest"))


def _heavy(finite: FloatArray, share: float, widths: float) -> tuple[float | None, float | None]:
    """Return the bounds on the sides with a heavy tail, None on the others.

    No side is heavy where the bounds are equal: clipping would leave nothing of the column.
    """
    # Differences of magnitudes near 1e308 would overflow.
    unit = float(np.abs(finite).max()) or 1.0
    low, high = np.quantile(finite, [share, 1 - share], method="nearest")
    width = (high / unit - low / unit) * widths
    if width <= 0:
        return None, None
    least, most = finite.min() / unit, finite.max() / unit
    return (
        float(low) if low / unit - least > width else None,
        float(high) if most - high / unit > width else None,
    )


def _warning(values: FloatArray, column: Numeric) -> str:
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    share = float(np.mean((values < low) | (values > high)))
    if column.log_unit is not None:
        return (
            f"{column.name}: a heavy tail; read as {column.curb} (--tails keep to read it as it is)"
        )
    bounds = f"[{low:.4g}, {high:.4g}]".replace("[-inf", "(-inf").replace("inf]", "inf)")
    return (
        f"{column.name}: {share:.2%} of the values lie beyond {bounds}, in a tail that the labels "
        "do not follow; clipped (--tails keep to read them as they are)"
    )
