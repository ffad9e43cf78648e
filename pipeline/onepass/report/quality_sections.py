"""The sections on the quality of predictions on a holdout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onepass.report import figures, quality_figures, tables
from onepass.report.contents import CALIBRATION, Contents, Judged, Row
from onepass.report.points import MOST_POINTS
from onepass.report.section import Figure, Section
from onepass.report.tables import Table
from onepass.report.words import distinct, name, number, place, real, when

_MOST_CLASSES = 30

_MOST_LAKES = 5
"""Holdout lakes of a figure, those that were read last; each has a colour."""

_QUANTILES = ("quantile", "pinball", "below", "constant_loss")
_CLASSES = ("share", "recall", "precision", "log_loss")
_RESIDUALS = (
    *("from", "to", "prediction", "label", "rows"),
    *("q05", "q25", "q50", "q75", "q95"),
)


def holdout(contents: Contents) -> Iterator[Section]:
    """Return the section on the loss of this and other versions."""
    judged = contents.judged
    if not judged and contents.evaluated is None:
        return
    found = []
    rows = [_judged(one) for one in judged if real(one.loss) is not None][-MOST_POINTS:]
    newest = list(dict.fromkeys(row["lake"] for row in reversed(rows)))[:_MOST_LAKES]
    rows = [row for row in rows if row["lake"] in newest]
    if len({row["version"] for row in rows}) > 1:
        spec = figures.holdout_by_version(rows)
        caption = "Dashed: the best constant on the same rows."
        found.append(Figure("holdout", "Loss by version", spec, caption))
    listed = [
        [
            str(one.version),
            when(one.time) if one.time else "now",
            place(one.lake),
            number(one.rows),
            number(one.loss, 5, trim=False),
            number(one.constant, 5, trim=False),
        ]
        for one in judged[::-1][: tables.MOST_ROWS]
    ]
    header = ["version", "measured", "lake", "rows", "loss", "constant's loss"]
    table = Table(header, listed, right=frozenset({0, 3, 4, 5}), wide=frozenset({2}))
    evaluated = contents.evaluated
    metrics = [] if evaluated is None else [("Metrics of this version", _metrics(contents), True)]
    evaluations = [("Evaluations", table, True)] if len(listed) > len(metrics) else []
    yield Section("Holdout", [], found, tables=[*metrics, *evaluations])


def _judged(one: Judged) -> dict[str, Any]:
    return {
        "version": one.version,
        "lake": place(one.lake),
        "rows": real(one.rows),
        "loss": real(one.loss),
        "constant": real(one.constant),
        "when": when(one.time) if one.time else "now",
    }


def _metrics(contents: Contents) -> Table:
    assert contents.evaluated is not None
    items = {"rows": contents.evaluated.rows, **contents.evaluated.metrics}
    rows = [
        [name(key.replace("_", " ")), number(value, 5)] for key, value in list(items.items())[:50]
    ]
    return Table(["metric", "value"], rows, right=frozenset({1}))


def quality(contents: Contents) -> Iterator[Section]:
    """Return the section on the predictions themselves: calibration, residuals, or classes."""
    title, text, figure = None, "", None
    if rows := contents.table("calibration", CALIBRATION):
        title, figure = "Calibration", quality_figures.calibration(rows)
        text = "Rows of the holdout in ten groups by predicted probability. On the diagonal, "
        text += "probabilities are as large as the shares that were observed."
    elif rows := contents.table("quantiles", _QUANTILES):
        title, figure = "Coverage", quality_figures.coverage(rows)
        text = "On the diagonal, as many labels lie below a predicted quantile as it says."
    elif rows := contents.table("classes", _CLASSES, ["class"]):
        title, figure = "Classes", quality_figures.classes(_most_frequent(rows))
        text = "Recall is the share of a class that is found, precision the share that is right of "
        text += "what is called so."
    elif rows := contents.table("residuals", _RESIDUALS):
        title, figure = "Residuals", quality_figures.residuals(rows)
        text = "Rows of the holdout in tenths by prediction. Boxes hold the middle half of the "
        text += "residuals, lines 90 %. The mark is their median, which lies at 0 if all is well."
    if title is not None and figure is not None:
        yield Section(title, [text], [Figure("quality", "", figure)])


def _most_frequent(rows: list[Row]) -> list[Row]:
    most = sorted(rows, key=lambda row: -(row["share"] or 0.0))[:_MOST_CLASSES]
    names = distinct(row["class"] for row in most)
    return [row | {"class": text} for row, text in zip(most, names, strict=True)]
