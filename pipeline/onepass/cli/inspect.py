"""`onepass inspect`."""

from __future__ import annotations

import json
from typing import Any

import click

from onepass.errors import OnepassError, first_line
from onepass.job import Job
from onepass.job_fields import parse_job
from onepass.model.table_choice import trained_choice
from onepass.survey.label import LabelProfile
from onepass.survey.profile import ColumnProfile
from onepass.survey.survey import Survey, survey
from onepass.terminal.options import JobCommand, given_job, json_option, some_job_options
from onepass.terminal.printing import print_table, say
from onepass.text import counted, megabytes, percent, printable, visible
from onepass.training.create import choice_of, decide
from onepass.training.resolve import implied_loss

_CLASSES_SHOWN = 12


_FIELDS = (
    *(
        "label",
        "weight",
        "offset",
        "exposure",
        "cluster",
        "folds",
        "fold_by",
        "loss",
        "classes",
        "features",
        "exclude",
        "numeric",
        "categorical",
    ),
    *("where", "sample", "on_null_label", "unknown_class", "on_missing_column", "tails"),
    *("sparse", "bag_counts"),
    *("interleave", "dask", "as_files", "lake_version", "lake_timestamp"),
    *("cross", "spline", "log", "bins"),
    *("timezone", "time_format", "missing"),
)
"""Fields of a job that bear on a survey: every one that its warnings advise is here."""


@click.command("inspect", cls=JobCommand)
@some_job_options(*_FIELDS)
@json_option
def command(lake: tuple[str, ...], config: str | None, as_json: bool, **flags: Any) -> None:
    """Show what is in LAKE, how each column would be used and why, and warnings.

    The list ends with the files that cannot be used. Distinct values are counted in a sample,
    classes of the label in the whole lake.
    """
    given = given_job(lake, config, flags)
    # A survey needs neither label nor model.
    job = parse_job({"label": "label", "model": "model"} | given)
    found = survey(
        job.lake,
        label=job.label if "label" in given else None,
        weight=job.weight,
        offset=job.offset,
        exposure=job.exposure,
        cluster=job.cluster,
        fold_by=job.fold_by,
        loss=implied_loss(job),
        classes=job.classes,
        unknown_class=job.unknown_class,
        on_missing_column=job.on_missing_column,
        choice=choice_of(job),
        seed=job.seed,
        selection=job.selection,
        skip_bad=True,
        interleaves=job.interleave > 1,
        drops_null_labels=job.on_null_label == "drop",
        tails=job.tails,
        dask=job.dask,
        table=trained_choice(job),
    )
    parallel = _parallel(job, found)
    if as_json:
        click.echo(json.dumps(_as_json(found) | {"parallel": parallel}))
    else:
        _print(found, parallel)


def _parallel(job: Job, found: Survey) -> int | None:
    """Return how many partitions a model would learn at the same time; None if none is possible."""
    try:
        return None if found.label is None else decide(job, found)[0].n_parallel
    except OnepassError:
        # The table and its warnings say why the lake cannot be trained.
        return None


def _print(found: Survey, parallel: int | None) -> None:
    say(
        f"{found.n_files} files, {found.n_rows:,} rows, {megabytes(found.nbytes)}; "
        f"sample of {found.sampled_rows:,} rows"
    )
    if found.n_ruled_out:
        say(f"{counted(found.n_ruled_out, 'more file')}: left out by --where")
    if found.taken < 1:
        say(f"about {percent(found.taken, 2)} of the rows are taken")
    say("")
    header = ["column", "type", "nulls", "distinct", "use", "why"]
    print_table([_row(column) for column in found.columns], header, right=(2, 3))
    if found.label is not None:
        say("\n" + _describe(found.label))
    if parallel is not None and parallel > 1:
        say(f"training learns up to {parallel} partitions at the same time (--parallel {parallel})")
    for error in found.bad:
        say(f"bad file: {printable(first_line(error))}")
    for warning in found.warnings:
        say(f"warning: {printable(warning)}")


def _describe(label: LabelProfile) -> str:
    mean = "" if label.mean is None else f"mean {label.mean:.5g}, "
    text = (
        f"label {printable(label.label.name)}: {label.loss} loss, {mean}"
        f"{label.distinct:,} distinct, {percent(label.null_share)} null"
    )
    shares = [
        f"{printable(visible(name))} {percent(share, 2)}"
        for name, share in label.class_shares.items()
    ]
    more = f", ... ({len(shares):,} in all)" if len(shares) > _CLASSES_SHOWN else ""
    return text + (f"\nclasses: {', '.join(shares[:_CLASSES_SHOWN])}{more}" if shares else "")


def _row(column: ColumnProfile) -> list[str]:
    nulls = "-" if not column.null_share else percent(column.null_share, 2)
    distinct = f"{column.distinct:,}" if column.distinct else "-"
    return [column.name, column.type, nulls, distinct, column.planned, column.reason]


def _as_json(found: Survey) -> dict[str, object]:
    label = found.label
    return {
        "files": found.n_files,
        "rows": found.n_rows,
        "bytes": found.nbytes,
        "sampled_rows": found.sampled_rows,
        "ruled_out": found.n_ruled_out,
        "taken": found.taken,
        "columns": [
            {
                "name": column.name,
                "type": column.type,
                "null_share": column.null_share,
                "distinct": column.distinct,
                "use": None if column.use is None else column.use.kind,
                "planned": column.planned,
                "reason": column.reason,
            }
            for column in found.columns
        ],
        "label": None
        if label is None
        else {
            "name": label.label.name,
            "loss": label.loss,
            "mean": label.mean,
            "distinct": label.distinct,
            "null_share": label.null_share,
            "class_shares": label.class_shares,
        },
        "bad": [first_line(error) for error in found.bad],
        "warnings": found.warnings,
    }
