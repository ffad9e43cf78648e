"""`onepass rewind`."""

from __future__ import annotations

import click

from onepass.actions.rewind import RewindReport, rewind
from onepass.terminal.options import json_option
from onepass.terminal.printing import print_json, say
from onepass.terminal.progress import Display
from onepass.text import counted

_SHOWN = 5


@click.command("rewind")
@click.argument("model", metavar="DIR")
@click.option("--to", type=int, required=True, metavar="VERSION", help="Version to go back to.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Partition to leave out from now on, by name or pattern; may be given several times.",
)
@json_option
def command(model: str, to: int, exclude: tuple[str, ...], as_json: bool) -> None:
    """Make an earlier version of the model in DIR count again; onepass log lists the versions.

    Weights, learnt partitions and plan are then as they were at that version. The ledger keeps the
    later versions, so that a rewind can be rewound. The next training leaves out the partitions of
    --exclude.
    """
    with Display("retrained") as display:
        report = rewind(model, to, exclude=exclude, progress=display)
    if as_json:
        print_json(report)
        return
    say(describe(report))


def describe(report: RewindReport) -> str:
    """Describe a rewind, in a few lines."""
    learnt = f"{counted(report.partitions, 'partition')}, {counted(report.rows, 'row')} learnt"
    lines = [
        f"back to version {report.to}: {learnt}",
        f"undone: {counted(report.undone_versions, 'version')}, "
        f"{counted(report.undone_partitions, 'partition')}, {counted(report.undone_rows, 'row')}",
    ]
    if report.excluded:
        names = ", ".join(report.excluded[:_SHOWN])
        more = f" and {len(report.excluded) - _SHOWN} more" if len(report.excluded) > _SHOWN else ""
        lines.append(f"left out from now on: {names}{more}")
    if report.pending:
        lines.append(
            f"of the plan as of then, {counted(report.pending, 'partition')} to be trained"
        )
    lines.append(f"model {report.model}, version {report.version}")
    lines.append(f"go on: onepass train --model {report.model}")
    return "\n".join(lines)
