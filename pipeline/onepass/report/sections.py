"""The sections of the page below its first screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from onepass.actions.summary import Coefficient, HashedValue
from onepass.report import figures, tables
from onepass.report.contents import Contents, Judged
from onepass.report.points import MOST_POINTS
from onepass.report.tables import Table
from onepass.report.words import distinct, number, place, prose, when

_MOST_NAMES = 30
"""Coefficients and values of a figure."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its place on the page."""

    id: str
    title: str
    spec: figures.Spec
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it, in this order."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    tables: list[tuple[str, Table, bool]] = field(default_factory=list)
    """Title, table, and whether it is open."""


def sections(contents: Contents) -> list[Section]:
    """Return the sections, the most important first."""
    return [
        *_loss(contents),
        *_holdout(contents),
        *_quality(contents),
        *_weights(contents),
        *_categories(contents),
        *_warnings(contents),
        *_runs(contents),
        _provenance(contents),
    ]


def _loss(contents: Contents) -> Iterator[Section]:
    course = contents.course
    if not course.points:
        return
    found = []
    if any(point.relative is not None for point in course.points):
        caption = "The shaded band is where the loss of each was expected from those before it."
        if course.drifted:
            caption += " A diamond is one that left its band."
        if course.n_entries > course.per_point * MOST_POINTS or course.per_point > 1:
            caption += (
                f" The log has {course.n_entries:,} entries; each point is the mean of "
                f"{course.per_point:,} of them, weighted by rows."
            )
        spec = figures.loss_by_partition(course)
        found.append(Figure("loss-by-partition", "By partition", spec, caption))
    if any(point.loss is not None and point.time for point in course.points):
        spec = figures.loss_by_time(course.points)
        found.append(Figure("loss-by-time", "By time", spec))
    text = (
        "Every row was predicted before it was learnt, so this is the loss on rows that the model "
        "had not seen. 100 % is the best constant prediction of the same rows."
    )
    yield Section("Loss while learning", [text], found, tables=_drift_table(contents))


def _drift_table(contents: Contents) -> list[tuple[str, Table, bool]]:
    drifted = contents.course.drifted[::-1]
    if not drifted:
        return []
    rows = [
        [
            point.name,
            str(point.version),
            number(point.relative),
            f"{number(point.low)} to {number(point.high)}",
            point.drift or "",
        ]
        for point in drifted[: tables.MOST_ROWS]
    ]
    header = ["partition", "version", "loss / constant's", "expected", "side"]
    found = Table(header, rows, right=frozenset({1, 2, 3}), wide=frozenset({0}))
    return [(f"Left their band: {len(drifted):,}", found, False)]


def _holdout(contents: Contents) -> Iterator[Section]:
    judged = contents.judged
    if not judged and contents.evaluated is None:
        return
    found = []
    rows = [_judged(one) for one in judged if one.loss is not None][-MOST_POINTS:]
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
            number(one.loss, 5),
            number(one.constant, 5),
        ]
        for one in judged[::-1][: tables.MOST_ROWS]
    ]
    header = ["version", "measured", "lake", "rows", "loss", "constant's loss"]
    table = Table(header, listed, right=frozenset({0, 3, 4, 5}), wide=frozenset({2}))
    evaluated = contents.evaluated
    metrics = [] if evaluated is None else [("Metrics of this version", _metrics(contents), True)]
    yield Section("Holdout", [], found, tables=[*metrics, ("Evaluations", table, True)])


def _judged(one: Judged) -> dict[str, Any]:
    return {
        "version": one.version,
        "lake": place(one.lake),
        "rows": one.rows,
        "loss": one.loss,
        "constant": one.constant,
        "when": when(one.time) if one.time else "now",
    }


def _metrics(contents: Contents) -> Table:
    assert contents.evaluated is not None
    items = {"rows": contents.evaluated.rows, **contents.evaluated.metrics}
    rows = [[key.replace("_", " "), number(value, 5)] for key, value in items.items()]
    return Table(["metric", "value"], rows, right=frozenset({1}))


def _quality(contents: Contents) -> Iterator[Section]:
    found = contents.evaluated
    if found is None:
        return
    title, text, figure = None, "", None
    if rows := found.tables.get("calibration"):
        title, figure = "Calibration", figures.calibration(rows)
        text = "Rows of the holdout in ten groups by predicted probability. On the diagonal, "
        text += "probabilities are as large as the shares that were observed."
    elif rows := found.tables.get("quantiles"):
        title, figure = "Coverage", figures.coverage(rows)
        text = "On the diagonal, as many labels lie below a predicted quantile as it says."
    elif rows := found.tables.get("residuals"):
        title, figure = "Residuals", figures.residuals(rows)
        text = "Rows of the holdout in tenths by prediction. Boxes hold the middle half of the "
        text += "residuals, lines 90 %. The mark is their median, which lies at 0 if all is well."
    elif rows := found.tables.get("classes"):
        title = "Classes"
        own = sorted(rows, key=lambda row: -float(row["share"] or 0.0))[:_MOST_NAMES]
        names = distinct(str(row["class"]) for row in own)
        figure = figures.classes(
            [row | {"class": text} for row, text in zip(own, names, strict=True)]
        )
        text = "Recall is the share of a class that is found, precision the share that is right of "
        text += "what is called so."
    if title is not None and figure is not None:
        yield Section(title, [text], [Figure("quality", "", figure)])


def _weights(contents: Contents) -> Iterator[Section]:
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
    spec = figures.coefficients(rows, f"effect on {_unit(found.loss)}")
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
        "effect": one.effect,
        "low": low,
        "high": high,
        "per unit": one.coefficient,
        "sure": sure,
    }


def _categories(contents: Contents) -> Iterator[Section]:
    found = contents.summary
    if not found.hashed:
        return
    shown = found.hashed_values[:_MOST_NAMES]
    names = distinct(_with_output(f"{one.column} = {one.value}", one.output) for one in shown)
    rows = [
        {"value": text, "weight": one.weight, "rows": one.rows}
        for one, text in zip(shown, names, strict=True)
    ]
    slots = next(iter(found.hashed.values()))
    text = (
        f"{len(found.hashed):,} hashed columns share {slots:,} weights. Of their frequent values, "
        "these have the most weight; a weight belongs to every value that shares its slot."
    )
    drawn = []
    if rows:
        spec = figures.categories(rows, f"change of {_unit(found.loss)}")
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


def _warnings(contents: Contents) -> Iterator[Section]:
    items = [prose(text) for text in [*contents.notes, *contents.summary.warnings]][:50]
    skipped, noticed = tables.skipped_table(contents), tables.noticed_table(contents)
    found = [] if skipped is None else [("Files left out", skipped, True)]
    if noticed is not None:
        found.append(("Treated or dropped while learning", noticed, True))
    if items or found:
        yield Section("Warnings", [], items=items, tables=found)


def _runs(contents: Contents) -> Iterator[Section]:
    course = contents.course
    titles = {
        "rows": ("Rows", "rows"),
        "rows_per_second": ("Speed", "rows/s"),
        "memory": ("Highest memory of the process", "MB"),
    }
    drawn = [
        Figure(f"over-{key.replace('_', '-')}", title, figures.over_training(course, key, unit))
        for key, (title, unit) in titles.items()
        if any(getattr(point, key) is not None for point in course.points)
    ]
    found = []
    environment = tables.environment_table(contents.trained)
    if environment is not None:
        n = len(environment.rows) - len(contents.trained[0].environment)
        text = f"{n:,} changes since the first partition" if n else "the same all the time"
        found.append((f"Environment: {text}", environment, False))
    rewinds = tables.rewind_table(contents)
    if rewinds is not None:
        found.append((f"Rewinds: {len(contents.history.rewinds):,}", rewinds, True))
    if drawn or found:
        yield Section(
            "Runs", ["By partition or round, in the order of training."], drawn, tables=found
        )


def _provenance(contents: Contents) -> Section:
    job, entry = contents.model.file.job, contents.model.entry
    state = entry.state
    text = f"State of version {entry.version}: {state.size:,} bytes, sha256 {state.sha256}."
    identity = (
        f"Model {prose(contents.model.file.id)}, created {when(contents.model.file.created)}; "
        f"its log has {contents.history.version:,} versions, of which {len(contents.line):,} count."
    )
    tags = [f"{one}: version {version}" for one, version in list(contents.tags.items())[:50]]
    return Section(
        "Provenance",
        [identity, text],
        items=[prose(one) for one in tags],
        tables=[
            ("The job, as far as it is not the default", tables.job_table(job), True),
            ("Files", tables.files_table(contents.trained), False),
        ],
    )
