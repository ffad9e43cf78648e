"""The sections of the page below its first screen."""

from __future__ import annotations

from collections.abc import Iterator

from onepass.report import figures, tables
from onepass.report.contents import Contents
from onepass.report.quality_sections import holdout, quality
from onepass.report.section import Figure, Section
from onepass.report.tables import Table
from onepass.report.weight_sections import categories, coefficients, curves
from onepass.report.words import number, place, prose, when


def sections(contents: Contents) -> list[Section]:
    """Return the sections, the most important first."""
    return [
        *_loss(contents),
        *holdout(contents),
        *quality(contents),
        *coefficients(contents),
        *curves(contents),
        *categories(contents),
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
        if figures.has_giants(course):
            caption += " A loss far above all others is drawn at the edge."
        if course.drifted:
            caption += " A diamond is one that left its band."
        if course.per_point > 1:
            caption += (
                f" The log has {course.n_entries:,} entries; each point is the mean of "
                f"{course.per_point:,} of them, weighted by rows."
            )
        spec = figures.loss_by_partition(course)
        found.append(Figure("loss-by-partition", "By partition", spec, caption))
    if any(point.loss is not None and point.time for point in course.points):
        spec = figures.loss_by_time(course)
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
    note = tables.more(contents.course.n_drifted, tables.MOST_ROWS, "entries", "the newest")
    found = Table(header, rows, right=frozenset({1, 2, 3}), wide=frozenset({0}), note=note)
    return [(f"Left their band: {contents.course.n_drifted:,}", found, False)]


def _warnings(contents: Contents) -> Iterator[Section]:
    texts = [*contents.notes, *contents.summary.warnings][:50]
    items = [prose(_without_folders(text, contents)) for text in texts]
    skipped, noticed = tables.skipped_table(contents), tables.noticed_table(contents)
    found = [] if skipped is None else [("Files left out", skipped, True)]
    if noticed is not None:
        found.append(("Treated or dropped while learning", noticed, True))
    if items or found:
        yield Section("Warnings", [], items=items, tables=found)


def _without_folders(text: str, contents: Contents) -> str:
    """Return a message with the paths of the job as the page shows them."""
    job = contents.model.file.job
    for value in (job.model, job.holdout, job.lake):
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, str) and path:
                text = text.replace(path, place(path))
    return text


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
            (
                f"Files: {number(tables.n_partitions(contents.trained))}",
                tables.files_table(contents.trained),
                False,
            ),
        ],
    )
