"""The sections on the weights of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onepass.actions.coefficient import Coefficient
from onepass.actions.inference.hashed_values import HashedValue
from onepass.report import tables, weight_figures
from onepass.report.contents import Contents
from onepass.report.section import Figure, Section
from onepass.report.tables import Table
from onepass.report.words import distinct, number, prose, real

_MOST_NAMES = 30
"""Coefficients and values of a figure."""

_MOST_CURVES = 24
"""Curves that are drawn."""


def coefficients(contents: Contents) -> Iterator[Section]:
    """Yield the section with the coefficients and their intervals, if the model has any."""
    found = contents.summary
    shown = found.coefficients[:_MOST_NAMES]
    if not shown:
        return
    names = distinct(_with_output(one.feature, one.output) for one in shown)
    rows = [_effect(one, text) for one, text in zip(shown, names, strict=True)]
    text = f"Change of {_unit(found.loss)} per standard deviation of a number, or where a category "
    text += "or flag holds."
    has_errors = any(one.low is not None for one in shown)
    text += " Lines are 95 % intervals; grey ones hold 0." if has_errors else ""
    if len(found.coefficients) > len(shown):
        text += f" The {len(shown)} largest of {len(found.coefficients):,} are drawn."
    spec = weight_figures.coefficients(rows, f"effect on {_unit(found.loss)}")
    table = tables.coefficient_table(found)
    if found.references:
        levels = [f"{c} = {level}" for c, level in list(found.references.items())[:50]]
        table.rows.append(["reference levels: " + prose(", ".join(levels)), *[""] * 5])
    yield Section(
        "Coefficients",
        [text],
        [Figure("coefficients", "", spec)],
        tables=[("All values, per unit of the columns", table, False)],
    )


def _effect(one: Coefficient, text: str) -> dict[str, Any]:
    per_unit = one.effect / one.coefficient if one.coefficient else None
    ends = [
        None if end is None or per_unit is None else end * per_unit for end in (one.low, one.high)
    ]
    low, high = sorted(end for end in ends if end is not None) if None not in ends else (None, None)
    sure = low is None or high is None or low > 0 or high < 0
    return {
        "feature": text,
        "effect": real(one.effect),
        "low": real(low),
        "high": real(high),
        "per unit": real(one.coefficient),
        "sure": sure,
    }


def curves(contents: Contents) -> Iterator[Section]:
    """Yield the section with the curves of splines, if the model has any."""
    found = contents.summary
    if not found.curves:
        return
    unit = f"change of {_unit(found.loss)}"
    figures = []
    for place, one in enumerate(found.curves[:_MOST_CURVES]):
        line, knots = (
            [{key: real(value) for key, value in point.model_dump().items()} for point in points]
            for points in (one.line, one.knots)
        )
        (title,) = distinct([_with_output(one.column, one.output)])
        figures.append(Figure(f"curve-{place}", title, weight_figures.curve(line, knots, unit)))
    text = f"{unit[0].upper()}{unit[1:]} by the value of a column, against its first knot. "
    text += "Points are knots; upright lines are 95 % intervals."
    if len(found.curves) > _MOST_CURVES:
        text += f" {_MOST_CURVES} of {len(found.curves):,} are drawn."
    yield Section("Curves", [text], figures)


def categories(contents: Contents) -> Iterator[Section]:
    """Yield the section with the hashed values of most weight, if the model has hashed columns."""
    found = contents.summary
    if not found.hashed:
        return
    shown = found.hashed_values[:_MOST_NAMES]
    names = distinct(_with_output(f"{one.column} = {one.value}", one.output) for one in shown)
    rows = [
        {"value": text, "weight": real(one.weight), "rows": real(one.rows)}
        for one, text in zip(shown, names, strict=True)
    ]
    slots = next(iter(found.hashed.values()))
    text = (
        f"{len(found.hashed):,} hashed columns share {slots:,} weights. Of their frequent values, "
        "these have the most weight; a weight belongs to every value that shares its slot."
    )
    drawn = []
    if rows:
        spec = weight_figures.categories(rows, f"change of {_unit(found.loss)}")
        drawn = [Figure("categories", "", spec)]
    yield Section(
        "Categories with most weight",
        [text],
        drawn,
        tables=[("All frequent values", _hashed_table(found.hashed_values), False)],
    )


def _hashed_table(values: list[HashedValue]) -> Table:
    rows = [
        [
            distinct([_with_output(f"{one.column} = {one.value}", one.output)])[0],
            number(one.weight),
            number(one.rows),
        ]
        for one in values[: tables.MOST_ROWS]
    ]
    return Table(["value", "weight", "rows, about"], rows, frozenset({1, 2}), frozenset({0}))


def _with_output(text: str, output: str | None) -> str:
    return text if output is None else f"{text} → {output}"


def _unit(loss: str) -> str:
    if loss in {"logistic", "softmax"}:
        return "the log-odds"
    return {"poisson": "the log of the mean", "gamma": "the log of the mean"}.get(
        loss, "the margin" if loss == "hinge" else "the prediction"
    )
