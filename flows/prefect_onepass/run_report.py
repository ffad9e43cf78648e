"""Describe a run in markdown: first its warnings, then its losses, then the runs before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from onepass.actions.evaluate import EvaluateReport
from onepass.cloud.url import is_url
from onepass.job import Job
from onepass.ledger.bands import drifted
from onepass.ledger.entries import SkipEntry, TrainEntry
from onepass.ledger.history import History
from onepass.partition import Partition
from onepass.text import clipped, counted, listed, printable
from onepass.training.report import TrainReport, in_rounds, of_no_use
from onepass.wording import spoken
from prefect_onepass.figures import duration, rounded
from prefect_onepass.names import model_name, span
from prefect_onepass.past_runs import MOST_RUNS, PastRun, past_runs, ratio

if TYPE_CHECKING:
    from onepass.report.write import PageReport

_MOST_NAMED = 5
"""Most partitions that a warning names."""

_SAME = 0.005
"""Relative difference of two losses up to which they count as the same."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """Everything that the pages of a run are made from."""

    job: Job
    """The complete job."""
    model_id: str
    history: History
    """History of the model after the run."""
    since: int
    """Newest version before the run."""
    trained: TrainReport
    """Sums over the session."""
    holdout: EvaluateReport | None = None
    """Metrics on the holdout lake, if the job names one."""
    holdout_error: str | None = None
    """Message of the error, if the evaluation on the holdout lake failed."""
    refusal: str | None = None
    """Message of the error, if the guard of the job has refused the version."""
    page: PageReport | None = None
    """The report page that was written, if one was asked for."""
    holdouts: Mapping[int, float] = field(default_factory=dict)
    """Loss of earlier versions on the same holdout files; see `holdout_losses`."""

    @property
    def entries(self) -> list[TrainEntry]:
        """Entries with which this run has learnt partitions, oldest first."""
        return [one for one in self.history.trained() if one.version > self.since]

    @property
    def skips(self) -> list[SkipEntry]:
        """Entries with which this run has skipped partitions for good."""
        decided = [one for one in self.history.decided() if one.version > self.since]
        return [one for one in decided if isinstance(one, SkipEntry) and one.kind == "skip"]

    @property
    def constant(self) -> float | None:
        """Progressive loss of the best constant."""
        return self.trained.metrics.get("constant_loss")


def describe_run(run: FinishedRun) -> str:
    """Describe a run in markdown."""
    name = printable(model_name(run.job.model))
    lines = [f"# {name}: version {run.trained.version:,}", ""]
    for warning in warnings_of(run):
        lines += [f"**Warning:** {warning}", ""]
    lines += [_summary(run), ""]
    if run.trained.partitions or run.holdout is not None:
        lines += [*_losses(run), ""]
    lines += _before(run)
    lines += [] if run.page is None else [*_page(run.page), ""]
    lines.append(
        f"Model `{printable(run.job.model)}`, id `{run.model_id[:8]}`, label "
        f"`{printable(run.job.label)}`, {run.job.loss} loss. "
        f"All versions: `onepass log {printable(run.job.model)}`"
    )
    return "\n".join(lines)


def _page(page: PageReport) -> list[str]:
    """Return a link to the report page, and what it asks somebody to look at."""
    link = page.out if is_url(page.out) else Path(page.out).absolute().as_uri()
    return [f"[Report page](<{link}>)", *(f"- {printable(one)}" for one in page.to_look_at)]


def short_description(run: FinishedRun) -> str:
    """Return version, loss and rows in a line, so that a history of artifacts is a ledger."""
    trained = run.trained
    text = (
        f"version {trained.version:,}: loss {rounded(trained.loss, 5)} (best constant "
        f"{rounded(run.constant, 5)}), {counted(trained.rows, 'row')} of "
        f"{counted(trained.partitions, 'partition')}"
    )
    if run.holdout is not None:
        text += f", holdout loss {rounded(run.holdout.loss, 5)}"
    text += f", {trained.skipped:,} left out" if trained.skipped else ""
    return text + (f", {trained.in_quarantine:,} in quarantine" if trained.in_quarantine else "")


def warnings_of(run: FinishedRun) -> list[str]:
    """Return what is wrong with a run, the worst first."""
    found = [] if run.refusal is None else [run.refusal]
    if run.holdout_error is not None:
        found.append(
            f"version {run.trained.version:,} is trained and kept, but the holdout could not be "
            f"evaluated: {printable(' '.join(spoken(run.holdout_error).splitlines()))}"
        )
    found += _of_no_use(run)
    if (worse := _worse_holdout(run)) is not None:
        found.append(worse)
    if run.skips:
        reasons = listed([clipped(printable(spoken(one.reason))) for one in run.skips], 3, "; ")
        found.append(f"{counted(len(run.skips), 'partition')} left out: {reasons}")
    if kept := run.trained.quarantined:
        reasons = listed([clipped(printable(spoken(one.reason))) for one in kept], 3, "; ")
        found.append(f"{counted(len(kept), 'file')} in quarantine until replaced: {reasons}")
    if drifting := _drifting(run):
        found.append(
            "the loss before learning lay above the band that the groups before it give, in "
            f"{listed(drifting, _MOST_NAMED)}. The data may have changed."
        )
    return found


def _of_no_use(run: FinishedRun) -> list[str]:
    """Say where the model predicts worse than the best constant."""
    where: list[tuple[str, float | None, Mapping[str, float | None]]] = []
    if (last := run.trained.last_tenth) is not None:
        # The first rows are predicted by a model that knows little, so only the last ones count.
        where.append((f"its last {last.rows:,} rows", last.loss, last.metrics))
    if (holdout := run.holdout) is not None:
        where.append(("the holdout rows", holdout.loss, holdout.metrics))
    found = []
    for rows, loss, metrics in where:
        constant = metrics.get("constant_loss")
        # Rows of one label, of which the constant knows all, tell nothing about a model.
        if loss is not None and constant and loss > constant * (1 + _SAME):
            found.append(
                f"on {rows} the loss {rounded(loss, 5)} is worse than {rounded(constant, 5)}, that "
                f"of the best constant prediction: there {of_no_use(metrics)}."
            )
    return found


def _worse_holdout(run: FinishedRun) -> str | None:
    before = [version for version in run.holdouts if version < run.trained.version]
    if run.holdout is None or not before:
        return None
    version = max(before)
    was, now = run.holdouts[version], run.holdout.loss
    if now <= was * (1 + _SAME):
        return None
    return (
        f"the holdout loss {rounded(now, 5)} is worse than {rounded(was, 5)} of version "
        f"{version:,}."
    )


def _drifting(run: FinishedRun) -> list[str]:
    """Return the names of this run's groups whose loss lies above its band."""
    trained = run.history.trained()
    first = len(trained) - len(run.entries)
    return [
        span(entry.partitions)
        for entry, side in zip(trained[first:], drifted(trained, first), strict=True)
        if side == "above"
    ]


def _summary(run: FinishedRun) -> str:
    trained = run.trained
    if not trained.partitions:
        return "Nothing was trained."
    partitions: list[Partition] = [one for entry in run.entries for one in entry.partitions]
    return (
        f"Trained {counted(trained.partitions, 'partition')}"
        f"{in_rounds(trained.parallel, trained.partitions)}, within `{span(partitions)}`. "
        f"{counted(trained.rows, 'row')} in {duration(trained.seconds)}: "
        f"{trained.rows_per_second:,.0f} rows/s, peak memory "
        f"{trained.peak_rss_bytes / 1e6:,.0f} MB."
    )


def _losses(run: FinishedRun) -> list[str]:
    trained = run.trained
    lines = [
        "| predicted before they were learnt | rows | loss | best constant | loss / constant |"
    ]
    if not trained.partitions:
        lines = ["| | rows | loss | best constant | loss / constant |"]
    lines.append("|---|---:|---:|---:|---:|")
    if trained.partitions:
        lines.append(_loss_row("all rows", trained.rows, trained.loss, run.constant))
    if (last := trained.last_tenth) is not None:
        constant = last.metrics.get("constant_loss")
        lines.append(_loss_row("the last rows", last.rows, last.loss, constant))
    if (holdout := run.holdout) is not None:
        constant = holdout.metrics.get("constant_loss")
        lines.append(_loss_row("holdout (never learnt)", holdout.rows, holdout.loss, constant))
    return lines


def _loss_row(name: str, rows: int, loss: float | None, constant: float | None) -> str:
    share = rounded(ratio(loss, constant), 4)
    return f"| {name} | {rows:,} | {rounded(loss)} | {rounded(constant)} | {share} |"


def _before(run: FinishedRun) -> list[str]:
    """Return the table of this run and the runs before, the newest first; empty for a first run."""
    runs = past_runs(run.history)
    if len(runs) < 2:
        return []
    shown = runs[-MOST_RUNS:]
    holdouts = dict(run.holdouts)
    if run.holdout is not None:
        holdouts[run.trained.version] = run.holdout.loss
    has_holdout = any(_holdout_of(one, holdouts) is not None for one in shown)
    head = ["run (UTC)", "version", "rows", "loss", "of constant", "last rows"]
    head += [*(["holdout"] if has_holdout else []), "rows/s"]
    lines = ["## This run and those before", "", _line(head)]
    lines.append(_line(["---", *["---:"] * (len(head) - 1)]))
    befores: Sequence[PastRun | None] = [None, *runs][-len(shown) - 1 : -1]
    for one, before in list(zip(shown, befores, strict=True))[::-1]:
        lines.append(_line(_run_cells(one, before, holdouts, has_holdout=has_holdout)))
    text = (
        "Each run has rows of its own, so compare losses as shares of the loss of the best "
        "constant on the same rows: of all rows (*of constant*), and of the last tenth of them "
        "(*last rows*). Runs are told apart by their plans."
    )
    return [*lines, "", text, ""]


def _run_cells(
    run: PastRun, before: PastRun | None, holdouts: Mapping[int, float], *, has_holdout: bool
) -> list[str]:
    loss, constant = run.losses()
    share = ratio(loss, constant)
    changed = change(ratio(*before.losses()) if before else None, share)
    cells = [run.time, f"{run.version:,}", f"{run.rows:,}", rounded(loss, 5)]
    cells += [f"{rounded(share, 4)} {changed}".strip()]
    cells += [rounded(ratio(*run.last_losses()), 4)]
    cells += [rounded(_holdout_of(run, holdouts), 5)] if has_holdout else []
    return [*cells, f"{run.rows_per_second:,.0f}"]


def _holdout_of(run: PastRun, holdouts: Mapping[int, float]) -> float | None:
    """Return the holdout loss of the newest version of a run that has one."""
    versions = {entry.version for entry in run.entries} & set(holdouts)
    return holdouts[max(versions)] if versions else None


def change(before: float | None, now: float | None) -> str:
    """Say whether a loss is better than before.

    Examples
    --------
    >>> change(0.5, 0.4), change(0.5, 0.6), change(0.5, 0.5001), change(None, 0.5)
    ('↓ 20% better', '↑ 20% worse', '= same', '')
    """
    if before is None or now is None or before <= 0:
        return ""
    relative = now / before - 1
    if abs(relative) <= _SAME:
        return "= same"
    word = "↑ {:.2g}% worse" if relative > 0 else "↓ {:.2g}% better"
    return word.format(100 * abs(relative))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
