"""Draw figures of the page as Vega-Lite by altair, all in one style.

Names from the data are values of the data and never part of an expression, a field or a title, so
Vega only ever draws them. Colours are those of Okabe and Ito, which colour-blind people tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import altair as alt

Spec: TypeAlias = dict[str, Any]
Rows: TypeAlias = Sequence[dict[str, Any]]

BLUE, RED, GREY, SKY = "#0072b2", "#d55e00", "#8a8f98", "#9ccbe8"

HEIGHT, LOW, STEP = 230, 96, 19
"""Height of a figure, of a low one, and of one row of names, in pixels."""

CONFIG: Spec = {
    "background": None,
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "padding": 2,
    "view": {"stroke": None},
    "axis": {
        "domainColor": "#c9cdd3",
        "gridColor": "#eceef1",
        "labelColor": "#4b525c",
        "labelFontSize": 11,
        "labelLimit": 240,
        "tickColor": "#c9cdd3",
        "tickSize": 4,
        "titleAnchor": "start",
        "titleColor": "#4b525c",
        "titleFontSize": 11,
        "titleFontWeight": "normal",
    },
    "axisY": {"titleAngle": 0, "titleAlign": "left", "titleY": -10, "titleX": 0, "domain": False},
    "axisX": {"grid": False},
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": "#4b525c",
        "labelFontSize": 11,
        "labelLimit": 300,
        "offset": 22,
    },
}
"""Style that all figures share."""


_TITLES = {
    "name": "partition",
    "when": "time",
    "constant": "constant's loss",
    "relative": "of the constant's",
    "rows_per_second": "rows/s",
    "memory": "memory, MB",
    "log_loss": "log loss",
    "constant_loss": "constant's loss",
    "q05": "5 %",
    "q25": "25 %",
    "q50": "median",
    "q75": "75 %",
    "q95": "95 %",
    "prediction": "mean prediction",
    "label": "mean label",
}


def tooltip(**formats: str) -> list[alt.Tooltip]:
    """Return what is shown on hover: fields with the format of a number; texts have none."""
    return [
        alt.Tooltip(
            field=field,
            title=_TITLES.get(field, field),
            type="quantitative" if form else "nominal",
            format=form or alt.Undefined,
        )
        for field, form in formats.items()
    ]


def whole_numbers() -> alt.Axis:
    """Return an axis without fractions."""
    return alt.Axis(format=",d", tickMinStep=1)


def upright_labels() -> alt.Axis:
    """Return an axis whose labels are not turned."""
    return alt.Axis(labelAngle=0)


def level_rule(at: float, title: str) -> Any:
    """Return a level line; it shares its axis, and so must have the title of that."""
    rule = alt.Chart(inline([{"at": at}])).mark_rule(color=GREY, strokeDash=[4, 3])
    return rule.encode(y=alt.Y("at:Q", title=title))


def upright_rule(title: str) -> Any:
    """Return an upright line at 0, as `level_rule`."""
    rule = alt.Chart(inline([{"at": 0}])).mark_rule(color=GREY)
    return rule.encode(x=alt.X("at:Q", title=title))


def inline(rows: Rows) -> alt.InlineData:
    """Return rows as data that stand in the page."""
    return alt.InlineData(values=list(rows))


def layered(layers: Sequence[Any], height: int) -> Spec:
    """Return layers, the lowest first, as one figure that is as wide as its place."""
    autosize = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = alt.layer(*layers).properties(width="container", height=height, autosize=autosize)
    found: Spec = chart.to_dict()
    # altair's own configuration is of another size; all figures share `CONFIG`.
    found.pop("config", None)
    found.pop("$schema", None)
    return found


def diagonal(end: float, x_title: str, y_title: str) -> Any:
    """Return a line from 0 to an end on both axes, which it shares, and so their titles."""
    line = alt.Chart(inline([{"at": 0}, {"at": end}])).mark_line(color=GREY, strokeDash=[4, 3])
    return line.encode(x=alt.X("at:Q", title=x_title), y=alt.Y("at:Q", title=y_title))
