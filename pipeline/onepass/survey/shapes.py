"""Make the splines, bins and logarithms of numbers that the job asks for, from the sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.schema import Column, Numeric
from onepass.encode.shapes import Bins, Spline
from onepass.encode.splines import heights
from onepass.encode.tails import curbed_numbers
from onepass.errors import JobError
from onepass.job_shapes import Curve
from onepass.survey.naming import naming
from onepass.survey.profile import Choice, ColumnProfile
from onepass.survey.scale import location_and_scale
from onepass.survey.tails import log_unit
from onepass.survey.uses import numbers_of

_OUTER = 0.05
"""Share of the values beyond the outer knots of a spline of few knots, where it is a line.

As in Harrell, Regression Modeling Strategies, section 2.4.6.
"""


def shaped(profiles: list[ColumnProfile], sample: pa.Table, choice: Choice) -> list[ColumnProfile]:
    """Return the profiles with the shapes that the job asks for.

    Raises
    ------
    JobError
        If a column has too few different values for its knots or bins, or is no number.
    """
    found = []
    for profile in profiles:
        flag = choice.shape_of(profile.name)
        if flag is None:
            found.append(profile)
            continue
        if not isinstance(profile.use, Numeric):
            raise JobError(
                f"--{flag} names {profile.name!r}, which cannot be a number: {profile.reason}"
            )
        values = numbers_of(profile.use, sample.column(profile.name).combine_chunks())
        use, reason = _shape(profile.use, values[np.isfinite(values)], choice)
        found.append(replace(profile, use=use, reason=reason, warning=None))
    return found


def _shape(number: Numeric, finite: FloatArray, choice: Choice) -> tuple[Column, str]:
    name = number.name
    if name in choice.log:
        number = _logarithm(number, finite)
    for curve in choice.curves:
        if curve.column == name:
            return _spline(number, curve, finite)
    for column, n_bins in choice.cuts:
        if column == name:
            return _bins(number, n_bins, finite)
    return number, "the job says so"


def _logarithm(number: Numeric, finite: FloatArray) -> Numeric:
    magnitudes = np.abs(finite[finite != 0])
    unit = log_unit(magnitudes) if len(magnitudes) else 1.0
    log = number.model_copy(update={"log_unit": unit})
    center, scale = location_and_scale(curbed_numbers(finite, log))
    return log.model_copy(update={"center": center, "scale": scale})


def _spline(number: Numeric, curve: Curve, finite: FloatArray) -> tuple[Spline, str]:
    values = curbed_numbers(finite, number)
    knots = _knots(values, curve.n_knots)
    if knots is None:
        raise _too_few("spline", str(curve), number.name, values, f"{curve.n_knots} knots")
    moments = [location_and_scale(one) for one in heights(knots, curve.degree, values)]
    spline = Spline(
        number=number,
        knots=knots,
        degree=curve.degree,
        center=[center for center, _ in moments],
        scale=[scale for _, scale in moments],
    )
    return spline, f"the job says so; knots at {', '.join(spline.knot_texts())}"


def _knots(values: FloatArray, n_knots: int) -> list[float] | None:
    """Return knots at evenly spaced quantiles; None if there are fewer different values.

    Where so many values are equal that quantiles are, they are the quantiles of the different
    values.
    """
    outer = min(_OUTER, 1 / (2 * n_knots))
    shares = np.linspace(outer, 1 - outer, n_knots)
    for own in (values, np.unique(values)):
        knots = np.unique(np.quantile(own, shares, method="nearest")) if len(own) else own
        if len(knots) == n_knots:
            return [float(knot) for knot in knots]
    different = np.unique(values)
    if len(different) < n_knots:
        return None
    places = np.linspace(0, len(different) - 1, n_knots).round().astype(np.int64)
    return [float(knot) for knot in different[places]]


def _bins(number: Numeric, n_bins: int, finite: FloatArray) -> tuple[Bins, str]:
    shares = np.arange(1, n_bins) / n_bins
    edges = np.unique(np.quantile(finite, shares, method="nearest")) if len(finite) else finite
    # A bin below the least value would be empty.
    edges = edges[edges > finite.min()] if len(finite) else edges
    if not len(edges):
        raise _too_few("bins", f"{number.name}:{n_bins}", number.name, finite, "2 bins")
    bins = Bins(number=number, edges=[float(edge) for edge in edges])
    fewer = "" if len(edges) + 1 == n_bins else f" (values are equal at the edges of {n_bins})"
    return bins, f"the job says so; {len(bins.levels)} bins at quantiles{fewer}"


def _too_few(flag: str, asked: str, name: str, values: FloatArray, needed: str) -> JobError:
    n_different = len(np.unique(values))
    return JobError(
        f"--{flag} {asked}: expected enough different values for {needed}, but column {name!r} has "
        f"{n_different} in the sample; ask for fewer, or read the column as a category "
        f"({naming('categorical', name)})"
    )
