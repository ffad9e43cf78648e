"""`onepass score`."""

from __future__ import annotations

from typing import Any

import click

from onepass.actions.score import ScoreReport, score
from onepass.model.covariance import Errors
from onepass.model.intervals import IntervalOf
from onepass.terminal.options import (
    as_lake,
    dask_option,
    json_option,
    model_option,
    names,
    table_options,
    version_option,
)
from onepass.terminal.printing import print_json, say
from onepass.terminal.progress import Display
from onepass.text import counted, listed, printable

_MOST_NAMED = 3


@click.command("score")
@click.argument("lake", nargs=-1)
@model_option
@click.option("--out", required=True, metavar="DIR", help="Output directory.")
@version_option
@click.option("--keep", default="", metavar="COLUMNS", help="Columns to copy, such as an id.")
@click.option("--new-only", is_flag=True, help="Keep files of earlier versions of the model.")
@click.option(
    "--prune", is_flag=True, help="Remove the model's predictions whose inputs left LAKE."
)
@click.option("--version-column", metavar="NAME", help="Column to write with the version.")
@click.option(
    "--interval", type=float, metavar="LEVEL", help="Coverage, such as 0.95, of intervals to write."
)
@click.option(
    "--interval-of",
    type=click.Choice(["mean", "row"]),
    default="mean",
    show_default=True,
    help="Interval of the mean of such rows, or of the label of a new row (squared loss).",
)
@click.option(
    "--interval-errors",
    type=click.Choice(["model", "robust"]),
    help="Covariance of the weights; unset: robust if the model keeps it.",
)
@table_options
@dask_option
@json_option
def command(
    lake: tuple[str, ...],
    model: str,
    out: str,
    version: str | None,
    keep: str,
    new_only: bool,
    prune: bool,
    version_column: str | None,
    interval: float | None,
    interval_of: IntervalOf,
    interval_errors: Errors | None,
    dask: str | None,
    as_json: bool,
    **table: Any,
) -> None:
    """Write predictions for LAKE: one Parquet file per file, rows in the same order.

    LAKE is the lake of the model's job by default.

    The column prediction holds a number in the label's unit, a probability (logistic), a margin
    (hinge) or the most likely class (softmax). There is a further column prediction_CLASS for
    each class of softmax, and prediction_QUANTILE for each of several quantiles. With --interval
    each number has two more columns, such as prediction_low and prediction_high.

    Prediction files of the same model version and input that exist already are not rewritten. When
    the version has moved, all files are rewritten, unless --new-only keeps them. The manifest
    _onepass_manifest.json in DIR tells the version of each file, and whether all are complete.
    """
    with Display("scored") as display:
        report = score(
            as_lake(lake) if lake else None,
            model,
            out,
            keep=names(keep),
            version=version,
            new_only=new_only,
            prune=prune,
            version_column=version_column,
            interval=interval,
            interval_of=interval_of,
            interval_errors=interval_errors,
            dask=dask,
            progress=display,
            **table,
        )
    if as_json:
        print_json(report)
        return
    say(
        f"scored {report.rows:,} rows in {report.seconds:.1f} s: "
        f"{counted(report.partitions, 'file')} written, "
        f"{report.unchanged} were there already; in {report.out}"
    )
    _say_further(report, prune=prune)


def _say_further(report: ScoreReport, *, prune: bool) -> None:
    if set(report.versions) - {str(report.version)}:
        text = ", ".join(f"{n:,} of version {one}" for one, n in report.versions.items())
        say(f"files: {text}")
    if report.pruned:
        say(f"removed {counted(len(report.pruned), 'file')} whose input is not in the lake")
    if report.left:
        some = listed([printable(one) for one in report.left], _MOST_NAMED)
        more = "another model has written" if prune else "--prune removes those of this model"
        say(f"left: {some}, whose input is not in the lake ({more})")
