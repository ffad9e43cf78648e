"""The figures of the page, as Vega-Lite specifications.

Names from the data are values of the data and never part of an expression, a field or a title, so
Vega only ever draws them. Colours are those of Okabe and Ito, which colour-blind people tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

import altair as alt

from onepass.report.points import Course, Point
from onepass.report.words import MINUS

Spec: TypeAlias = dict[str, Any]
Rows: TypeAlias = Sequence[dict[str, Any]]

BLUE, RED, GREY, SKY = "#0072b2", "#d55e00", "#8a8f98", "#9ccbe8"

_HEIGHT, _LOW, _STEP = 230, 96, 19
"""Height of a figure, of a low one, and of one row of names, in pixels."""

_FEW = 60
"""Points that are drawn as dots as well; more of them would hide the line."""

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


def loss_by_partition(course: Course) -> Spec:
    """Draw the relative loss of each point in its band, with those that left it."""
    own = [point.as_json() for point in course.points if point.relative is not None]
    banded = [point for point in own if point["low"] is not None]
    drifted = [point.as_json() for point in course.drifted]
    # The band of a small partition may be so wide that it would flatten everything else.
    losses = [1.0, *(point["relative"] for point in (*own, *drifted))]
    spread = max(losses) - min(losses)
    scale = alt.Scale(domain=[max(0.0, min(losses) - 0.15 * spread), max(losses) + 0.1 * spread])
    x = alt.X("place:Q", title=_groups(course), scale=alt.Scale(nice=False), axis=_whole())
    title = "loss, as a share of the best constant's"
    y = alt.Y("relative:Q", title=title, scale=scale, axis=alt.Axis(format="%"))
    band, marks = (alt.Chart(_data(rows)) for rows in (banded, drifted))
    layers = [
        band.mark_area(color=SKY, opacity=0.35, clip=True).encode(
            x=x, y=alt.Y("low:Q", title=None, scale=scale), y2="high:Q"
        ),
        _rule(1.0),
        alt.Chart(_data(own)).mark_line(color=BLUE, strokeWidth=1.5).encode(x=x, y=y),
        _dots(own, x, y, visible=len(own) <= _FEW),
        marks.mark_point(shape="diamond", filled=True, color=RED, size=70, opacity=1).encode(
            x=x, y=y, tooltip=_of_point()
        ),
    ]
    has_rows = [bool(banded), True, True, True, bool(drifted)]
    return _spec([layer for layer, own in zip(layers, has_rows, strict=True) if own], _HEIGHT)


def loss_by_time(points: Sequence[Point]) -> Spec:
    """Draw loss, loss of the last rows and loss of the best constant over the time of commits."""
    names = {"loss": "progressive loss", "last_tenth": "its last tenth", "constant": "constant"}
    colours = dict(zip(names.values(), (BLUE, SKY, GREY), strict=True))
    rows = [
        {"kind": text, "value": getattr(point, key), **point.as_json()}
        for key, text in names.items()
        for point in points
        if getattr(point, key) is not None and point.time
    ]
    shown = [text for text in colours if any(row["kind"] == text for row in rows)]
    scale = alt.Scale(domain=shown, range=[colours[text] for text in shown])
    title = "time of commit, UTC"
    axis = alt.Axis(format=_clock([row["time"] for row in rows]), labelOverlap=True, tickCount=6)
    x = alt.X("time:T", title=title, scale=alt.Scale(type="utc"), axis=axis)
    y = alt.Y("value:Q", title="loss, mean per row", scale=alt.Scale(zero=False))
    what = alt.Tooltip("kind:N", title="what")
    value = alt.Tooltip("value:Q", title="loss", format=",.5~g")
    is_visible = len(points) <= _FEW
    base = alt.Chart(_data(rows)).encode(x=x, y=y, color=alt.Color("kind:N", scale=scale))
    dots = base.mark_circle(size=26 if is_visible else 60).encode(
        opacity=alt.value(int(is_visible)), tooltip=[what, value, *_of_point()]
    )
    return _spec([base.mark_line(strokeWidth=1.5), dots], _HEIGHT)


def _clock(times: Sequence[str]) -> str:
    """Return the format of times on an axis: dates, or the time of day within few days."""
    ends = [datetime.fromisoformat(text) for text in (min(times), max(times))]
    hours = (ends[1] - ends[0]).total_seconds() / 3600
    return "%H:%M:%S" if hours < 0.2 else "%H:%M" if hours < 36 else "%Y-%m-%d"


def holdout_by_version(rows: Rows) -> Spec:
    """Draw the loss of versions on holdout lakes, a line for each lake."""
    x = alt.X("version:Q", title="version", scale=alt.Scale(nice=False, padding=12), axis=_whole())
    y = alt.Y("loss:Q", title="holdout loss, mean per row", scale=alt.Scale(zero=False))
    lakes = list(dict.fromkeys(row["lake"] for row in rows))
    legend = alt.Legend() if len(lakes) > 1 else None
    palette = [BLUE, RED, "#009e73", "#cc79a7", "#e69f00"]
    scale = alt.Scale(domain=lakes, range=palette[: len(lakes)])
    colour = alt.Color("lake:N", legend=legend, scale=scale)
    tooltip = _tooltip(version=",", loss=",.5~g", constant=",.5~g", rows=",", lake="", when="")
    base = alt.Chart(_data(rows)).encode(x=x, color=colour)
    constants = base.mark_line(color=GREY, strokeDash=[4, 3]).encode(
        y=alt.Y("constant:Q", title=None), color=alt.value(GREY), detail="lake:N"
    )
    layers = [constants, base.mark_line().encode(y=y)]
    dots = base.mark_circle(size=50, opacity=1).encode(y=y, tooltip=tooltip)
    return _spec([*layers, dots], _HEIGHT)


def calibration(rows: Rows) -> Spec:
    """Draw the share of positives over the mean probability of each group of rows."""
    top = max(max(row["prediction"] or 0.0, row["positive"] or 0.0) for row in rows)
    ends = [{"at": 0.0}, {"at": min(1.0, 1.05 * top)}]
    domain = alt.Scale(domain=[0, ends[1]["at"]], nice=False)
    x = alt.X("prediction:Q", title="mean predicted probability", scale=domain)
    y = alt.Y("positive:Q", title="share of positives", scale=domain)
    tooltip = _tooltip(
        prediction=".4f", positive=".4f", weight=",.6~g", **{"from": ".4f", "to": ".4f"}
    )
    diagonal = alt.Chart(_data(ends)).mark_line(color=GREY, strokeDash=[4, 3])
    base = alt.Chart(_data(rows)).encode(x=x, y=y)
    layers = [
        diagonal.encode(x=alt.X("at:Q", title=None), y=alt.Y("at:Q", title=None)),
        base.mark_line(color=BLUE, strokeWidth=1.5),
        base.mark_circle(color=BLUE, size=60, opacity=1).encode(tooltip=tooltip),
    ]
    return _spec(layers, _HEIGHT)


def residuals(rows: Rows) -> Spec:
    """Draw the spread of label - prediction for each tenth of the rows, by rising prediction."""
    own = [{"tenth": place, **row} for place, row in enumerate(rows, 1)]
    x = alt.X("tenth:O", title="tenth of the rows, by rising prediction", axis=_upright())
    formats = dict.fromkeys(("prediction", "label", "q05", "q25", "q50", "q75", "q95"), ",.4~g")
    tooltip = _tooltip(tenth="", **formats, **{"from": ",.4~g", "to": ",.4~g"}, rows=",")
    base = alt.Chart(_data(own)).encode(x=x, tooltip=tooltip)
    y = alt.Y("q05:Q", title=f"label {MINUS} prediction")
    layers = [
        _rule(0.0),
        base.mark_rule(color=SKY, strokeWidth=2).encode(y=y, y2="q95:Q"),
        base.mark_bar(color=SKY, size=16).encode(y=alt.Y("q25:Q", title=None), y2="q75:Q"),
        base.mark_tick(color=BLUE, size=16, thickness=2.5).encode(y=alt.Y("q50:Q", title=None)),
    ]
    return _spec(layers, _HEIGHT)


def coverage(rows: Rows) -> Spec:
    """Draw the share of labels at or below each predicted quantile."""
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("quantile:Q", title="quantile", scale=scale)
    y = alt.Y("below:Q", title="share of labels at or below the prediction", scale=scale)
    diagonal = alt.Chart(_data([{"at": 0}, {"at": 1}])).mark_line(color=GREY, strokeDash=[4, 3])
    tooltip = _tooltip(quantile="", below=".4f", pinball=",.5~g", constant_loss=",.5~g")
    layers = [
        diagonal.encode(x=alt.X("at:Q", title=None), y=alt.Y("at:Q", title=None)),
        alt.Chart(_data(rows)).mark_circle(color=BLUE, size=70, opacity=1).encode(x, y, tooltip),
    ]
    return _spec(layers, _HEIGHT)


def classes(own: Rows) -> Spec:
    """Draw recall and precision of each class, the most frequent first."""
    long = [
        {"kind": kind, "value": row[kind], **row}
        for row in own
        for kind in ("recall", "precision")
        if row[kind] is not None
    ]
    scale = alt.Scale(domain=["recall", "precision"], range=[BLUE, RED])
    tooltip = _tooltip(
        **{"class": ""}, share=".2%", recall=".2%", precision=".2%", log_loss=",.4~g"
    )
    chart = (
        alt.Chart(_data(long))
        .mark_point(filled=True, size=60, opacity=1)
        .encode(
            alt.X("value:Q", title="share of rows", scale=alt.Scale(domain=[0, 1])),
            alt.Y("class:N", title=None, sort=None, axis=alt.Axis(grid=True)),
            color=alt.Color("kind:N", scale=scale),
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=["recall", "precision"])),
            tooltip=tooltip,
        )
    )
    return _spec([chart], _STEP * len(own))


def coefficients(rows: Rows, unit: str) -> Spec:
    """Draw effects with their intervals, the largest first; those that may be 0 in grey."""
    y = alt.Y("feature:N", title=None, sort=None, axis=alt.Axis(grid=True))
    colour = alt.Color(
        "sure:N", legend=None, scale=alt.Scale(domain=[True, False], range=[BLUE, GREY])
    )
    formats = dict.fromkeys(("effect", "low", "high", "per unit"), ",.4~g")
    base = alt.Chart(_data(rows)).encode(y=y, color=colour)
    layers = [
        _upright_rule(),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=unit), x2="high:Q"),
        base.mark_circle(size=55, opacity=1).encode(
            x=alt.X("effect:Q", title=unit), tooltip=_tooltip(feature="", **formats)
        ),
    ]
    return _spec(layers, _STEP * len(rows))


def categories(rows: Rows, unit: str) -> Spec:
    """Draw the weights of values of hashed columns, the largest first."""
    bars = (
        alt.Chart(_data(rows))
        .mark_bar(color=BLUE, height=9)
        .encode(
            x=alt.X("weight:Q", title=unit),
            y=alt.Y("value:N", title=None, sort=None),
            tooltip=_tooltip(value="", weight=",.4~g", rows=","),
        )
    )
    return _spec([_upright_rule(), bars], _STEP * len(rows))


def over_training(course: Course, field: str, title: str) -> Spec:
    """Draw one measurement of the runs: rows, rows per second or memory."""
    rows = [point.as_json() for point in course.points if getattr(point, field) is not None]
    x = alt.X("place:Q", title=None, scale=alt.Scale(nice=False), axis=_whole())
    y = alt.Y(f"{field}:Q", title=title, axis=alt.Axis(format="~s", tickCount=3))
    line = alt.Chart(_data(rows)).mark_line(color=BLUE, strokeWidth=1.5).encode(x=x, y=y)
    return _spec([line, _dots(rows, x, y, visible=len(rows) <= _FEW)], _LOW)


def _dots(rows: Rows, x: alt.X, y: alt.Y, *, visible: bool) -> Any:
    """Return dots with values on hover; invisible ones where a line has many points."""
    chart = alt.Chart(_data(rows)).mark_circle(color=BLUE, size=26 if visible else 90)
    return chart.encode(x=x, y=y, opacity=alt.value(1 if visible else 0), tooltip=_of_point())


def _of_point() -> list[alt.Tooltip]:
    return _tooltip(
        **{"name": "", "version": ",", "when": "", "rows": ","},
        **{"loss": ",.5~g", "constant": ",.5~g", "relative": ".2%", "drift": ""},
        **{"rows_per_second": ",.0f", "memory": ",.0f"},
    )


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


def _tooltip(**formats: str) -> list[alt.Tooltip]:
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


def _groups(course: Course) -> str:
    several = f", {course.per_point:,} to a point" if course.per_point > 1 else ""
    return f"partition or round, in the order of training{several}"


def _whole() -> alt.Axis:
    return alt.Axis(format=",d", tickMinStep=1)


def _upright() -> alt.Axis:
    return alt.Axis(labelAngle=0)


def _rule(at: float) -> Any:
    rule = alt.Chart(_data([{"at": at}])).mark_rule(color=GREY, strokeDash=[4, 3])
    return rule.encode(y=alt.Y("at:Q", title=None))


def _upright_rule() -> Any:
    return alt.Chart(_data([{"at": 0}])).mark_rule(color=GREY).encode(x=alt.X("at:Q", title=None))


def _data(rows: Rows) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _spec(layers: Sequence[Any], height: int) -> Spec:
    autosize = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = alt.layer(*layers).properties(width="container", height=height, autosize=autosize)
    found: Spec = chart.to_dict()
    # altair's own configuration is of another size; all figures share `CONFIG`.
    found.pop("config", None)
    found.pop("$schema", None)
    return found
