"""Make the splines, bins and logarithms of numbers that the job asks for, from the sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Column
from onepass.encode.shapes import Bins, Spline
from onepass.encode.splines import heights
from onepass.encode.tails import curbed_numbers
from onepass.errors import JobError
from onepass.job_shapes import Curve
from onepass.survey.choice import Choice
from onepass.survey.naming import naming
from onepass.survey.profile import ColumnProfile
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
        If a column has too few different values for its knots, or is no number.
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
        raise _too_few(curve, values)
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
    """Return knots at evenly spaced quantiles; None if there are fewer different values."""
    outer = min(_OUTER, 1 / (2 * n_knots))
    knots = _quantiles(values, np.linspace(outer, 1 - outer, n_knots))
    return knots if len(knots) == n_knots else None


def _quantiles(values: FloatArray, shares: FloatArray) -> list[float]:
    """Return different quantiles, fewer only where there are too few different values.

    Where so many values are equal that quantiles are, they are the quantiles of the different
    values.
    """
    different = np.unique(values)
    for own in (values, different):
        found = np.unique(np.quantile(own, shares, method="nearest")) if len(own) else own
        if len(found) == len(shares):
            return [float(one) for one in found]
    n_found = min(len(different), len(shares))
    places = np.linspace(0, len(different) - 1, n_found).round().astype(np.int64)
    return [float(one) for one in different[places]]


def _bins(number: Numeric, n_bins: int, finite: FloatArray) -> tuple[Bins, str]:
    # A bin below the least value would be empty, so that no edge lies there.
    least = finite.min()
    shares = np.arange(1, n_bins) / n_bins
    edges = np.unique(np.quantile(finite, shares, method="nearest"))
    if len(edges) < n_bins - 1 or edges[0] == least:
        edges = _edges_beside_equal_values(finite, n_bins)
    bins = Bins(number=number, edges=edges.tolist())
    fewer = f", for want of {n_bins} different values" if len(bins.levels) < n_bins else ""
    return bins, f"the job says so; {len(bins.levels)} bins at quantiles{fewer}"


def _edges_beside_equal_values(values: FloatArray, n_bins: int) -> FloatArray:
    """Return the edges of bins where a value may hold more rows than a bin should.

    From the least value on, each bin takes whole values, as near as can be to its share of the rows
    that are left. So a frequent value has a bin of its own, and the rows of rare ones are together.
    """
    different, counts = np.unique(values, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])
    edges, start = [], 0
    for bins in range(min(n_bins, len(different)), 1, -1):
        # Each bin after this one needs a value.
        ends = below[start + 1 : len(different) - bins + 2]
        share = below[start] + (len(values) - below[start]) / bins
        start += 1 + int(np.argmin(np.abs(ends - share)))
        edges.append(different[start])
    return np.array(edges)


def _too_few(curve: Curve, values: FloatArray) -> JobError:
    name, n_different = curve.column, len(np.unique(values))
    return JobError(
        f"--spline {curve}: expected at least {curve.n_knots} different values, but column {name!r}"
        f" has {n_different} in the sample; ask for fewer knots, or read the column as a category "
        f"({naming('categorical', name)})"
    )
