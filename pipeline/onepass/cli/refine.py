"""`onepass refine`."""

from __future__ import annotations

import click

from onepass.actions.refine import RefineReport, refine
from onepass.terminal.options import dask_option, json_option, mixed_workers_option
from onepass.terminal.printing import print_json, say
from onepass.terminal.progress import Display
from onepass.text import megabytes

_LEFT = {
    True: "",
    False: "\nthe passes have not converged: refine again with more of them (--passes)",
    None: "\ngradient_descent does not tell whether it has converged; newton and lbfgs do (--rule)",
}
"""The line that follows the outcome, by `RefineReport.settled`."""


@click.command("refine")
@click.argument("model", metavar="DIR")
@click.option(
    "--passes", default=10, show_default=True, help="Maximum number of passes over the lake."
)
@click.option(
    "--rule",
    type=click.Choice(["auto", "newton", "lbfgs", "gradient_descent"]),
    default="auto",
    show_default=True,
    help="Rule of the steps; auto is newton where the width allows.",
)
@click.option(
    "--learning-rate", type=float, help="Rate of gradient_descent; unset: found from the data."
)
@dask_option
@mixed_workers_option
@json_option
def command(
    model: str,
    passes: int,
    rule: str,
    learning_rate: float | None,
    dask: str | None,
    mixed_workers: bool,
    as_json: bool,
) -> None:
    """Take batch passes over everything that the model in DIR has learnt, to the batch optimum.

    When new files land, training continues from the refined weights.
    """
    given = {"model": model, "dask": dask, "mixed_workers": mixed_workers}
    with Display("refined with") as display:
        report = refine(
            given, n_passes=passes, rule=rule, learning_rate=learning_rate, progress=display
        )
    if as_json:
        print_json(report)
        return
    say(describe(report))


def _outcome(report: RefineReport) -> str:
    if report.improved:
        return f"better weights were found{_LEFT[report.settled]}"
    if report.committed:
        return "the model was at its optimum; the new version has the curvature of all rows at it"
    return f"no better weights were found; the model stays as it is{_LEFT[report.settled]}"


def describe(report: RefineReport) -> str:
    """Describe the passes and their result, in a few lines."""
    lines = [f"pass  objective         slope ({report.rule})"]
    lines += [
        f"{number:>4}  {loss:<16.10g}  {slope:.3g}"
        for number, (loss, slope) in enumerate(
            zip(report.losses, report.slopes, strict=True), start=1
        )
    ]
    lines.append(
        f"{report.rows:,} rows a pass, {report.seconds:.1f} s ({report.rows_per_second:,.0f} "
        f"rows/s), peak memory {megabytes(report.peak_rss_bytes)}"
    )
    lines.append(_outcome(report))
    lines.append(f"model {report.model}, version {report.version}")
    return "\n".join(lines)
