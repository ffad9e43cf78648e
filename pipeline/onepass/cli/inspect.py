"""`onepass inspect`."""

from __future__ import annotations

import json
from typing import get_args

import click

from onepass.errors import first_line
from onepass.job import LossName, Tails
from onepass.survey.label import LabelProfile
from onepass.survey.profile import Choice, ColumnProfile
from onepass.survey.survey import Survey, survey
from onepass.terminal.options import as_lake, json_option, names
from onepass.terminal.printing import print_table, say
from onepass.text import megabytes, printable

_CLASSES_SHOWN = 12


@click.command("inspect")
@click.argument("lake", nargs=-1, required=True)
@click.option("--label", help="Column to predict.")
@click.option(
    "--loss", type=click.Choice(get_args(LossName)), default="auto", help="Loss to minimise."
)
@click.option("--classes", metavar="CLASSES", help="Classes of the label, negative one first.")
@click.option("--features", metavar="COLUMNS", help="Use these columns only.")
@click.option("--exclude", metavar="COLUMNS", help="Columns to leave out.")
@click.option("--numeric", metavar="COLUMNS", help="Columns to read as numbers.")
@click.option("--categorical", metavar="COLUMNS", help="Columns to read as categories.")
@click.option(
    "--tails",
    type=click.Choice(get_args(Tails)),
    default="auto",
    help="Treatment of numbers with heavy tails.",
)
@json_option
def command(
    lake: tuple[str, ...],
    label: str | None,
    loss: str,
    classes: str | None,
    features: str | None,
    exclude: str | None,
    numeric: str | None,
    categorical: str | None,
    tails: Tails,
    as_json: bool,
) -> None:
    """Show what is in LAKE, how each column would be used and why, and warnings.

    The list ends with the files that cannot be used. Distinct values are counted in a sample.
    """
    choice = Choice(*(tuple(names(text)) for text in (features, exclude, numeric, categorical)))
    found = survey(
        as_lake(lake),
        label=label,
        loss=loss,
        classes=names(classes),
        choice=choice,
        skip_bad=True,
        tails=tails,
    )
    if as_json:
        click.echo(json.dumps(_as_json(found)))
    else:
        _print(found)


def _print(found: Survey) -> None:
    say(
        f"{found.n_files} files, {found.n_rows:,} rows, {megabytes(found.nbytes)}; "
        f"sample of {found.sampled_rows:,} rows\n"
    )
    header = ["column", "type", "nulls", "distinct", "use", "why"]
    print_table([_row(column) for column in found.columns], header, right=(2, 3))
    if found.label is not None:
        say("\n" + _describe(found.label))
    for error in found.bad:
        say(f"bad file: {printable(first_line(error))}")
    for warning in found.warnings:
        say(f"warning: {printable(warning)}")


def _describe(label: LabelProfile) -> str:
    mean = "" if label.mean is None else f"mean {label.mean:.5g}, "
    text = (
        f"label {printable(label.label.name)}: {label.loss} loss, {mean}"
        f"{label.distinct:,} distinct, {label.null_share:.1%} null"
    )
    shares = [f"{printable(name)} {share:.2%}" for name, share in label.class_shares.items()]
    more = f", ... ({len(shares):,} in all)" if len(shares) > _CLASSES_SHOWN else ""
    return text + (f"\nclasses: {', '.join(shares[:_CLASSES_SHOWN])}{more}" if shares else "")


def _row(column: ColumnProfile) -> list[str]:
    nulls = "-" if not column.null_share else f"{column.null_share:.2%}"
    distinct = f"{column.distinct:,}" if column.distinct else "-"
    return [column.name, column.type, nulls, distinct, column.planned, column.reason]


def _as_json(found: Survey) -> dict[str, object]:
    label = found.label
    return {
        "files": found.n_files,
        "rows": found.n_rows,
        "bytes": found.nbytes,
        "sampled_rows": found.sampled_rows,
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
