"""`onepass train`."""

from __future__ import annotations

import os
from typing import Any

import click

from onepass.actions.evaluate import EvaluateReport
from onepass.actions.publish import Publication
from onepass.actions.train import train
from onepass.actions.train_several import LabelsOutcome
from onepass.actions.trained import TrainOutcome
from onepass.cloud.url import is_url
from onepass.errors import Interrupted, VersionRefused
from onepass.ledger.trained import CandidateEntry
from onepass.model.cross_validated import told
from onepass.terminal.options import JobCommand, given_job, job_options, json_option
from onepass.terminal.printing import loss_text, print_json, print_table, say, warn_if_worse
from onepass.terminal.progress import Display
from onepass.text import counted, megabytes, printable
from onepass.training.report import in_rounds, not_taken, nothing_to_train

_SHOWN = ("rmse", "r2", "auc", "accuracy", "macro_recall", "calibration_error", "below")
"""Metrics that are printed beside the loss, if the loss has them."""


@click.command("train", cls=JobCommand)
@job_options
@json_option
def command(lake: tuple[str, ...], config: str | None, as_json: bool, **flags: Any) -> None:
    """Create a model, or train it on what is new in its lake.

    The first run needs LAKE, --label and --model. The job is remembered: later runs need only
    --model, train only what the model has not seen, and refuse a job that differs.

    With several labels, --label paid,churned --model models, one pass over the lake trains a model
    for each, models/paid and models/churned. No label is a feature of another one's model. --loss
    may name one for each, such as paid=logistic,amount=gamma; all other options hold for all.
    """
    refusal: VersionRefused | None = None
    with Display("trained") as display:
        try:
            outcome = train(given_job(lake, config, flags), progress=display)
        except Interrupted as interrupted:
            say(str(interrupted), err=True)
            raise
        except VersionRefused as refused:
            if not isinstance(refused.outcome, TrainOutcome | LabelsOutcome):
                raise
            refusal, outcome = refused, refused.outcome
    models = _by_label(outcome)
    for label, one in models.items():
        _warn(one, label)
    if as_json:
        print_json(outcome)
    else:
        for label, one in models.items():
            _print(one, label)
    if refusal is not None:
        raise refusal
    for label, one in models.items():
        if one.published is not None and (text := _not_published(one.published)):
            say(f"warning: {label}{text}", err=True)


def _by_label(outcome: TrainOutcome | LabelsOutcome) -> dict[str, TrainOutcome]:
    """Return the outcome of each model, by what its lines begin with."""
    if isinstance(outcome, TrainOutcome):
        return {"": outcome}
    return {f"{printable(one.label)}: ": one for one in outcome.models}


def _not_published(found: Publication) -> str | None:
    """Return why predictions use another version than the newest; None if they do not."""
    if found.version == found.current:
        return None
    stay = f"version {found.version} is not published, and predictions use version {found.current}"
    if found.outcome == "refused":
        return f"{stay}: it was refused: {found.why}"
    return f"{stay}: {found.why}"


def _warn(outcome: TrainOutcome, label: str) -> None:
    # The first rows are predicted by a model that knows little, so only the last ones count.
    if outcome.last_tenth is not None:
        last = outcome.last_tenth
        warn_if_worse(last.loss, last.metrics, label, rows=f"its last {last.rows:,} rows")
    if outcome.holdout is not None:
        held = outcome.holdout
        warn_if_worse(held.loss, held.metrics, label, rows=f"{held.rows:,} holdout rows")


def _print(outcome: TrainOutcome, label: str) -> None:
    say(label + _describe(outcome))
    if outcome.candidates:
        _print_candidates(outcome.candidates)
    for line in told(outcome.cross_validation):
        say(line)
    if outcome.holdout is not None:
        say(_describe_holdout(outcome.holdout))


def _describe(outcome: TrainOutcome) -> str:
    lines = []
    if outcome.partitions:
        lines.append(
            f"trained {counted(outcome.partitions, 'partition')}"
            f"{in_rounds(outcome.parallel, outcome.partitions)}, "
            f"{outcome.rows:,} rows in "
            f"{outcome.seconds:.1f} s ({outcome.rows_per_second:,.0f} rows/s), "
            f"peak memory {megabytes(outcome.peak_rss_bytes)}"
        )
        lines.append(f"progressive {_losses(outcome.loss, outcome.metrics)}")
        if (last := outcome.last_tenth) is not None:
            lines.append(f"its last {last.rows:,} rows: {_losses(last.loss, last.metrics)}")
    else:
        # A model without a state has never been trained.
        lines.append(
            nothing_to_train(
                outcome.left_out,
                has_trained=bool(outcome.state_sha256),
                n_held_out=len(outcome.held_out),
                n_pruned=outcome.pruned_files,
            )
        )
    lines += _not_taken(outcome)
    lines += _quarantine(outcome)
    if outcome.skipped:
        skipped = counted(outcome.skipped, "partition")
        lines.append(f"left out {skipped}: onepass log {outcome.model}")
    lines.append(f"model {_short(outcome.model)}, version {outcome.version}")
    return "\n".join(lines)


def _not_taken(outcome: TrainOutcome) -> list[str]:
    said = [not_taken(outcome.not_taken)] if outcome.not_taken else []
    if outcome.partitions and outcome.pruned_files:
        n_files, all_files = outcome.pruned_files, counted(outcome.files, "file")
        said.append(f"{n_files:,} of {all_files} left out by --where")
    return ["; ".join(said)] if said else []


def _quarantine(outcome: TrainOutcome) -> list[str]:
    if not outcome.in_quarantine:
        return []
    new = {one.path for one in outcome.quarantined}
    more = f", {len(new):,} of them new" if 0 < len(new) < outcome.in_quarantine else ""
    put, files = "put " if new else "", counted(outcome.in_quarantine, "file")
    return [f"{put}in quarantine until replaced: {files}{more}: onepass log {outcome.model}"]


def _print_candidates(candidates: list[CandidateEntry]) -> None:
    has_powers = candidates[0].power is not None
    score = "negative log likelihood" if has_powers else "loss on scaled labels"
    say(f"on held-out rows (mean {score}):")
    print_table(
        [
            [
                "*" if one.chosen else "",
                "-" if one.learning_rate is None else f"{one.learning_rate:g}",
                f"{one.l2:g}",
                *([] if one.power is None else [f"{one.power:g}"]),
                "out" if one.loss is None else f"{one.loss:.6g}",
            ]
            for one in candidates
        ],
        ["", "learning rate", "l2", *(["power"] if has_powers else []), "loss"],
        right=(1, 2, 3, 4) if has_powers else (1, 2, 3),
    )


def _describe_holdout(report: EvaluateReport) -> str:
    return f"on {report.rows:,} holdout rows: {_losses(report.loss, report.metrics)}"


def _losses(loss: float | None, metrics: dict[str, float | None]) -> str:
    constant = metrics.get("constant_loss")
    shown = {name: metrics[name] for name in _SHOWN if name in metrics}
    rest = "".join(f", {k} {v:.4g}" for k, v in shown.items() if v is not None)
    text = "loss -" if loss is None else loss_text(loss, metrics, 5)
    constant_text = "-" if constant is None else f"{constant:.5g}"
    return f"{text} (best constant: {constant_text}){rest}"


def _short(path: str) -> str:
    if is_url(path):
        return path
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
