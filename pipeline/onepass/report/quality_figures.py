"""Figures of the quality of predictions on a holdout."""

from __future__ import annotations

import altair as alt

from onepass.report.drawing import (
    BLUE,
    HEIGHT,
    RED,
    SKY,
    STEP,
    Rows,
    Spec,
    diagonal,
    inline,
    layered,
    level_rule,
    tooltip,
    upright_labels,
)
from onepass.report.words import MINUS


def calibration(rows: Rows) -> Spec:
    """Draw the share of positives over the mean probability of each group of rows."""
    top = max(max(row["prediction"] or 0.0, row["positive"] or 0.0) for row in rows)
    end = min(1.0, 1.05 * top)
    titles = ("mean predicted probability", "share of positives")
    domain = alt.Scale(domain=[0, end], nice=False)
    x = alt.X("prediction:Q", title=titles[0], scale=domain)
    y = alt.Y("positive:Q", title=titles[1], scale=domain)
    hover = tooltip(
        prediction=".4f", positive=".4f", weight=",.6~g", **{"from": ".4f", "to": ".4f"}
    )
    base = alt.Chart(inline(rows)).encode(x=x, y=y)
    layers = [
        diagonal(end, *titles),
        base.mark_line(color=BLUE, strokeWidth=1.5),
        base.mark_circle(color=BLUE, size=60, opacity=1).encode(tooltip=hover),
    ]
    return layered(layers, HEIGHT)


def residuals(rows: Rows) -> Spec:
    """Draw the spread of label - prediction for each tenth of the rows, by rising prediction."""
    own = [{"tenth": place, **row} for place, row in enumerate(rows, 1)]
    x = alt.X("tenth:O", title="tenth of the rows, by rising prediction", axis=upright_labels())
    formats = dict.fromkeys(("prediction", "label", "q05", "q25", "q50", "q75", "q95"), ",.4~g")
    hover = tooltip(tenth="", **formats, **{"from": ",.4~g", "to": ",.4~g"}, rows=",")
    base = alt.Chart(inline(own)).encode(x=x, tooltip=hover)
    title = f"label {MINUS} prediction"
    y = alt.Y("q05:Q", title=title)
    layers = [
        level_rule(0.0, title),
        base.mark_rule(color=SKY, strokeWidth=2).encode(y=y, y2="q95:Q"),
        base.mark_bar(color=SKY, size=16).encode(y=alt.Y("q25:Q", title=title), y2="q75:Q"),
        base.mark_tick(color=BLUE, size=16, thickness=2.5).encode(y=alt.Y("q50:Q", title=title)),
    ]
    return layered(layers, HEIGHT)


def coverage(rows: Rows) -> Spec:
    """Draw the share of labels at or below each predicted quantile."""
    scale = alt.Scale(domain=[0, 1])
    titles = ("quantile", "share of labels at or below the prediction")
    x = alt.X("quantile:Q", title=titles[0], scale=scale)
    y = alt.Y("below:Q", title=titles[1], scale=scale)
    hover = tooltip(quantile="", below=".4f", pinball=",.5~g", constant_loss=",.5~g")
    layers = [
        diagonal(1.0, *titles),
        alt.Chart(inline(rows))
        .mark_circle(color=BLUE, size=70, opacity=1)
        .encode(x, y, tooltip=hover),
    ]
    return layered(layers, HEIGHT)


def classes(own: Rows) -> Spec:
    """Draw recall and precision of each class, the most frequent first."""
    long = [
        {"kind": kind, "value": row[kind], **row}
        for row in own
        for kind in ("recall", "precision")
        if row[kind] is not None
    ]
    scale = alt.Scale(domain=["recall", "precision"], range=[BLUE, RED])
    hover = tooltip(**{"class": ""}, share=".2%", recall=".2%", precision=".2%", log_loss=",.4~g")
    chart = (
        alt.Chart(inline(long))
        .mark_point(filled=True, size=60, opacity=1)
        .encode(
            alt.X("value:Q", title="share of rows", scale=alt.Scale(domain=[0, 1])),
            alt.Y("class:N", title=None, sort=None, axis=alt.Axis(grid=True)),
            color=alt.Color("kind:N", scale=scale),
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=["recall", "precision"])),
            tooltip=hover,
        )
    )
    return layered([chart], STEP * len(own))
