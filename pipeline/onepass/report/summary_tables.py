"""The tables of a summary, as texts: what the table, Markdown and HTML formats print."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from onepass.actions.coefficient import Coefficient
from onepass.actions.inference.profiles import Profile
from onepass.actions.summary import Summary
from onepass.model.fit_statistics import FitStatistics
from onepass.report.tables import Table

_NONE = "-"

_PLOT = 41
"""Characters of the plot beside a profile."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tables of a summary are asked for."""

    top: int | None = None
    """Features to show; None for all."""
    tests: bool = False
    """Whether columns of a single feature are tested, too."""
    ratios: bool = False
    """Whether exponentials of coefficients are shown in place of effects."""


def facts(found: Summary) -> Iterator[str]:
    """Yield the lines that stand above the tables: the model, its errors, its fit."""
    sample = "" if found.sample is None else f", a sample of {found.sample:g}"
    taken = sample + ("" if found.where is None else f", where {found.where}")
    yield (
        f"{found.solver}, {found.loss} loss of {found.label}{_form(found)}, "
        f"version {found.version}, {found.rows:,} rows{taken}"
    )
    if found.offset is not None:
        yield f"offset: {found.offset}, added to the margin; the intercept is for an offset of 0"
    if found.exposure is not None:
        yield f"exposure: {found.exposure}, whose log is added; predictions at exposure 1"
    if found.errors == "robust":
        plural = "" if found.clusters == 1 else "s"
        of_clusters = f"cluster-robust, {found.clusters or 0:,} cluster{plural}"
        kind = of_clusters if found.clusters else "robust"
        yield f"standard errors: {kind}"
    if text := ", ".join(_fit(found.fit)):
        yield text


def _form(found: Summary) -> str:
    """Return the link and the shape of the loss in brackets; nothing for the identity."""
    link = "" if found.link == "identity" else f"{found.link} link"
    words = ", ".join(word for word in (link, found.shape) if word)
    return f" ({words})" if words else ""


def _fit(fit: FitStatistics | None) -> Iterator[str]:
    if fit is None or (fit.deviance is None and fit.log_likelihood is None):
        return
    if fit.deviance is not None:
        null = fit.null_deviance
        explained = "" if not null else f", {1 - fit.deviance / null:.2%} explained"
        of = "" if null is None else f" (null {_large(null)}{explained})"
        yield f"deviance {_large(fit.deviance)}{of}"
    named = {
        "dispersion": fit.dispersion,
        "log likelihood": fit.log_likelihood,
        "AIC": fit.aic,
        "BIC": fit.bic,
        "parameters": fit.n_parameters,
    }
    for name, value in named.items():
        if value is not None:
            yield f"{name} {_large(value)}"


def coefficient_table(found: Summary, wanted: Wanted) -> Table:
    """Return the coefficients with their errors and intervals, or with their ratios."""
    shown = [*found.intercepts, *found.thresholds, *found.coefficients[: wanted.top]]
    several = any(one.output is not None for one in shown)
    low, high = f"low {_share(found)}", f"high {_share(found)}"
    if found.level == 0.95:
        low, high = "low", "high"
    estimate = ["per unit", "std error", "z", "p"]
    header = ["feature", *estimate, low, high, "effect"]
    if wanted.ratios:
        header = ["feature", found.ratio or "", low, high, *estimate]
    rows = [
        [*([one.output or ""] if several else []), *_coefficient(one, ratios=wanted.ratios)]
        for one in shown
    ]
    first = 2 if several else 1
    left_out = len(found.coefficients) - (
        len(shown) - len(found.intercepts) - len(found.thresholds)
    )
    return Table(
        [*(["of"] if several else []), *header],
        rows,
        right=frozenset(range(first, first + len(header) - 1)),
        note=f"... and {left_out:,} more (--top)" if left_out else "",
    )


def test_table(found: Summary, wanted: Wanted) -> Table | None:
    """Return the Wald tests of whole columns; None if there are none to show.

    The test of a single feature is in its own line already, so it is only shown where tests are
    asked for.
    """
    shown = [one for one in found.tests if one.df > 1 or wanted.tests]
    if not shown:
        return None
    several = any(one.output is not None for one in shown)
    rows = [
        [
            *([one.output or ""] if several else []),
            one.column,
            f"{'F' if one.distribution == 'F' else 'chi2'} {one.statistic:.5g}",
            str(one.df) if one.df_residual is None else f"{one.df}, {one.df_residual:,.0f}",
            p_text(one.p_value),
        ]
        for one in shown
    ]
    header = [*(["of"] if several else []), "column", "Wald", "df", "p"]
    return Table(header, rows, right=frozenset(range(len(header) - 3, len(header))))


def contrast_table(found: Summary, wanted: Wanted) -> Table | None:
    """Return the contrasts; None if none was asked for."""
    if not found.contrasts:
        return None
    several = any(one.output is not None for one in found.contrasts)
    ratios = [found.ratio or "", "low", "high"] if wanted.ratios else ["low", "high"]
    rows = []
    for one in found.contrasts:
        ends = [one.low, one.high]
        if wanted.ratios:
            ends = [one.ratio, one.ratio_low, one.ratio_high]
        rows.append(
            [
                *([one.output or ""] if several else []),
                f"{one.column}: {one.value} against {one.against}",
                f"{one.difference:.5g}",
                _number(one.std_error),
                _number(one.z),
                p_text(one.p_value),
                *map(_number, ends),
            ]
        )
    first = ["of"] if several else []
    header = [*first, "contrast", "difference", "std error", "z", "p", *ratios]
    return Table(header, rows, right=frozenset(range(len(first) + 1, len(header))))


def hashed_table(found: Summary, wanted: Wanted) -> Table | None:
    """Return the frequent values of hashed columns; None if no column is hashed."""
    if not found.hashed:
        return None
    shown = found.hashed_values[: wanted.top]
    several = any(one.output is not None for one in found.hashed_values)
    has_errors = any(one.std_error is not None for one in shown)
    has_rows = any(one.rows is not None for one in shown)
    rows = [
        [
            *([one.output or ""] if several else []),
            one.column,
            one.value,
            f"{one.weight:.4g}",
            *(map(_number, (one.std_error, one.low, one.high)) if has_errors else []),
            *([_counted(one.rows)] if has_rows else []),
        ]
        for one in shown
    ]
    errors = ["std error", "low", "high"] if has_errors else []
    first = ["of"] if several else []
    header = [*first, "column", "value", "weight", *errors]
    header += ["rows, about"] if has_rows else []
    return Table(header, rows, right=frozenset(range(len(first) + 2, len(header))))


def profile_table(profile: Profile, wanted: Wanted, ratio: str | None) -> Table:
    """Return a profile with a plot of characters: ``o`` the effect, ``-`` its interval."""
    has_rows = any(one.rows is not None for one in profile.points)
    plots = _plots(profile)
    rows = []
    for one, plot in zip(profile.points, plots, strict=True):
        ends: tuple[float | None, ...] = (one.effect, one.low, one.high)
        if wanted.ratios:
            ends = (one.ratio, one.ratio_low, one.ratio_high)
        counted = [_counted(one.rows)] if has_rows else []
        rows.append([one.value, *map(_number, ends), *counted, plot])
    name = ratio if wanted.ratios and ratio else "effect"
    header = ["value", name, "low", "high", *(["rows, about"] if has_rows else []), ""]
    return Table(header, rows, right=frozenset(range(1, len(header) - 1)))


def _counted(rows: int | None) -> str:
    return _NONE if rows is None else f"{rows:,}"


def profile_title(profile: Profile) -> str:
    """Return what a profile is of, and the value that it is against."""
    of = "" if profile.output is None else f" for {profile.output}"
    against = "" if profile.reference is None else f", against {profile.reference}"
    return f"curve of {profile.column}{of}{against}"


def p_text(value: float | None) -> str:
    """Return a p-value as a text."""
    return _NONE if value is None else "<1e-4" if value < 1e-4 else f"{value:.4f}"


def _coefficient(one: Coefficient, *, ratios: bool) -> list[str]:
    name = one.feature if one.read_as is None else f"{one.feature} ({one.read_as})"
    value = "aliased" if one.aliased else f"{one.coefficient:.5g}"
    estimate = [value, _number(one.std_error), _number(one.z), p_text(one.p_value)]
    if ratios:
        three = (one.ratio, one.ratio_low, one.ratio_high)
        return [name, *map(_ratio, three), *estimate]
    return [name, *estimate, _number(one.low), _number(one.high), f"{one.effect:.4g}"]


def _plots(profile: Profile) -> list[str]:
    ends = [end for p in profile.points for end in (p.effect, p.low, p.high) if end is not None]
    least, most = min([*ends, 0.0]), max([*ends, 0.0])
    step = (most - least) / (_PLOT - 1) or 1.0

    def place(value: float) -> int:
        return round((value - least) / step)

    found = []
    for point in profile.points:
        line = [" "] * _PLOT
        if point.low is not None and point.high is not None:
            first, last = place(point.low), place(point.high)
            line[first : last + 1] = ["-"] * (last + 1 - first)
        line[place(0.0)] = "|"
        line[place(point.effect)] = "o"
        found.append("".join(line).rstrip())
    return found


def _share(found: Summary) -> str:
    return f"{found.level:.4g}"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    """Return a ratio, of which what differs from 1 can be read: a unit of income has little."""
    if value is None:
        return _NONE
    beside = abs(value - 1)
    if 1e-12 < beside < 5e-4:
        return f"{value:.{2 - math.floor(math.log10(beside))}f}"
    return f"{value:.4g}"


def _large(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.5g}"
