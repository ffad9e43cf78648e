"""`onepass report`."""

from __future__ import annotations

import click

from onepass.report.write import write_report
from onepass.terminal.options import dask_option, json_option, version_option
from onepass.terminal.printing import print_json, say
from onepass.terminal.progress import Display
from onepass.text import megabytes, printable


@click.command("report")
@click.argument("model", metavar="DIR")
@click.option("--out", metavar="FILE", help="File or URL of the page; default: NAME-report.html.")
@click.option(
    "--holdout", metavar="LAKE", help="Lake with labels to judge it on; default: the job's."
)
@version_option
@dask_option
@json_option
def command(
    model: str,
    out: str | None,
    holdout: str | None,
    version: str | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Write one self-contained HTML page about a model.

    It shows the loss while learning and on a holdout, drift, calibration or residuals, the weights,
    what was left out, and the files that were learnt. It needs no network, and can be printed.
    """
    with Display("evaluated") as display:
        found = write_report(
            model, out, version=version, holdout=holdout, dask=dask, progress=display
        )
    for text in found.warnings:
        say(f"warning: {printable(text)}", err=True)
    if as_json:
        print_json(found)
        return
    say(f"report of version {found.version}: {printable(found.out)} ({megabytes(found.bytes)})")
    for title in found.to_look_at:
        say(f"  look at: {printable(title)}")
