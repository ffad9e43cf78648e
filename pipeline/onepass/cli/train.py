"""`onepass train`."""

from __future__ import annotations

import os
from typing import Any

import click

from onepass.actions.evaluate import EvaluateReport, evaluate
from onepass.cli.display import Display, print_table, say, warn_if_worse
from onepass.cli.options import given_job, job_options, json_option, print_json
from onepass.cloud.url import is_url
from onepass.ledger.entries import CandidateEntry
from onepass.model.directory import model_exists, open_model
from onepass.text import counted, megabytes
from onepass.training.report import TrainReport, nothing_to_train
from onepass.training.session import train

_SHOWN = ("rmse", "r2", "auc", "accuracy", "macro_recall", "calibration_error", "below")
"""What of the metrics is printed beside the loss, where the loss has it."""


@click.command("train")
@job_options
@json_option
def command(lake: tuple[str, ...], config: str | None, as_json: bool, **flags: Any) -> None:
    """Create a model, or train it on what is new in its lake.

    The first run needs LAKE, --label and --model. The job is remembered: later runs need only
    --model, train only what the model has not seen, and refuse a job that differs.
    """
    given = given_job(lake, config, flags)
    with Display("trained") as display:
        try:
            report = train(given, progress=display)
        except KeyboardInterrupt:
            _say_what_is_kept(given, display.version)
            raise
    # The only partition so far was predicted before anything had been learnt.
    if report.version > 2:
        warn_if_worse(report.loss, report.metrics)
    holdout = _evaluated(given, report)
    if holdout is not None:
        warn_if_worse(holdout.loss, holdout.metrics)
    if as_json:
        print_json(report, holdout=None if holdout is None else holdout.model_dump(mode="json"))
        return
    say(describe(report))
    if report.candidates:
        print_candidates(report.candidates)
    if holdout is not None:
        say(describe_holdout(holdout))


def describe(report: TrainReport) -> str:
    """A run in a few lines."""
    lines = []
    if report.partitions:
        lines.append(
            f"trained {counted(report.partitions, 'partition')}, {report.rows:,} rows in "
            f"{report.seconds:.1f} s ({report.rows_per_second:,.0f} rows/s), "
            f"peak memory {megabytes(report.peak_rss_bytes)}"
        )
        lines.append(f"progressive {_losses(report.loss, report.metrics)}")
    else:
        # Without a state, nothing has been trained ever.
        lines.append(nothing_to_train(report.left_out, has_trained=bool(report.state_sha256)))
    if report.skipped:
        lines.append(f"left out {counted(report.skipped, 'partition')}: onepass log {report.model}")
    lines.append(f"model {_short(report.model)}, version {report.version}")
    return "\n".join(lines)


def print_candidates(candidates: list[CandidateEntry]) -> None:
    """The learners that were tried side by side, the chosen one marked."""
    say("on held-out rows (mean loss on scaled labels):")
    print_table(
        [
            [
                "*" if one.chosen else "",
                "-" if one.learning_rate is None else f"{one.learning_rate:g}",
                f"{one.l2:g}",
                "out" if one.loss is None else f"{one.loss:.6g}",
            ]
            for one in candidates
        ],
        ["", "learning rate", "l2", "loss"],
        right=(1, 2, 3),
    )


def describe_holdout(report: EvaluateReport) -> str:
    """An evaluation in one line."""
    return f"on {report.rows:,} holdout rows: {_losses(report.loss, report.metrics)}"


def _evaluated(given: dict[str, Any], report: TrainReport) -> EvaluateReport | None:
    remembered = open_model(report.model).file.job
    holdout = given.get("holdout") or remembered.holdout
    return evaluate(holdout, report.model, dask=given.get("dask")) if holdout else None


def _losses(loss: float | None, metrics: dict[str, float | None]) -> str:
    constant = metrics.get("constant_loss")
    shown = {name: metrics[name] for name in _SHOWN if name in metrics}
    rest = "".join(f", {k} {v:.4g}" for k, v in shown.items() if v is not None)
    loss_text = "-" if loss is None else f"{loss:.5g}"
    constant_text = "-" if constant is None else f"{constant:.5g}"
    return f"loss {loss_text} (best constant: {constant_text}){rest}"


def _say_what_is_kept(given: dict[str, Any], version: int) -> None:
    model = given.get("model", "DIR")
    if not model_exists(model):
        say("interrupted before the model was created: nothing is kept", err=True)
        return
    kept = f"version {version} is kept" if version else "what was committed before is kept"
    say(f"interrupted: {kept}; go on with: onepass train --model {model}", err=True)


def _short(path: str) -> str:
    if is_url(path):
        return path
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
