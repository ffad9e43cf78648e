"""`onepass score`."""

from __future__ import annotations

import click

from onepass.actions.score import score
from onepass.terminal.options import (
    as_lake,
    dask_option,
    json_option,
    model_option,
    names,
    version_option,
)
from onepass.terminal.printing import print_json, say
from onepass.terminal.progress import Display
from onepass.text import counted


@click.command("score")
@click.argument("lake", nargs=-1, required=True)
@model_option
@version_option
@click.option("--out", required=True, metavar="DIR", help="Output directory.")
@click.option("--keep", default="", metavar="COLUMNS", help="Columns to copy, such as an id.")
@dask_option
@json_option
def command(
    lake: tuple[str, ...],
    model: str,
    version: str | None,
    out: str,
    keep: str,
    dask: str | None,
    as_json: bool,
) -> None:
    """Write predictions for LAKE: one Parquet file per file, rows in the same order.

    The column prediction holds a number in the label's unit, a probability (logistic), a margin
    (hinge) or the most likely class (softmax). There is a further column prediction_CLASS for
    each class of softmax, and prediction_QUANTILE for each of several quantiles.

    Prediction files of the same model version and input that exist already are not rewritten.
    """
    with Display("scored") as display:
        report = score(
            as_lake(lake),
            model,
            out,
            keep=names(keep),
            version=version,
            dask=dask,
            progress=display,
        )
    if as_json:
        print_json(report)
        return
    say(
        f"scored {report.rows:,} rows in {report.seconds:.1f} s: "
        f"{counted(report.partitions, 'file')} written, "
        f"{report.unchanged} were there already; in {report.out}"
    )
