"""Describe a run of several labels in markdown: a line for each label, under the warnings of all.

Each label has a report of its own as well, under the key that a run of this label alone has.
"""

from __future__ import annotations

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from onepass.errors import VersionRefused
from onepass.text import counted, listed, printable
from prefect_onepass.artifacts import artifact_key
from prefect_onepass.background import Background
from prefect_onepass.figures import duration, rounded
from prefect_onepass.messages import told
from prefect_onepass.names import model_name
from prefect_onepass.outcome import Outcome
from prefect_onepass.past_runs import ratio
from prefect_onepass.run_outcome import RunOutcome

_MOST_WARNINGS = 20
"""Most warnings of a report; the reports of the labels have all."""


def publish_labels(background: Background, run: RunOutcome) -> str:
    """Publish the report of a run of several labels in the background, and return it."""
    report = describe_labels(run)
    # The id of the first model tells folders of the same name apart.
    key = artifact_key("labels", run.model, run.model_id)
    done = listed([_ended(one) for one in run.models], 8)
    description = printable(done) or "no label was trained to the end"
    background.send(
        "the report of all labels",
        lambda: create_markdown_artifact(report, key=key, description=description),
    )
    return report


def _ended(outcome: Outcome) -> str:
    refused = " refused" if isinstance(outcome.error, VersionRefused) else ""
    return f"{outcome.label} version {outcome.trained.version:,}{refused}"


def describe_labels(run: RunOutcome) -> str:
    """Describe a run of several labels in markdown."""
    lines = [f"# {printable(model_name(run.model))}: {counted(len(run.labels), 'label')}", ""]
    for warning in _warnings(run):
        lines += [f"**Warning:** {warning}", ""]
    if trained := [one for one in run.models if one.trained.partitions]:
        lines += [_summary(trained), ""]
    lines += [*_table(run.models), ""] if run.models else []
    lines.append(
        f"Models in `{printable(run.model)}`; each has a report of its own. All versions of one: "
        f"`onepass log {printable(run.models[0].trained.model if run.models else run.model)}`"
    )
    return "\n".join(lines)


def _warnings(run: RunOutcome) -> list[str]:
    found: dict[str, Sequence[str]] = {one.label: one.warnings for one in run.models}
    found |= {one.label: [f"training has stopped: {_in_a_line(one.error)}"] for one in run.stopped}
    pairs = [(label, warning) for label in run.labels for warning in found[label]]
    return [f"{printable(label)}: {warning}" for label, warning in pairs[:_MOST_WARNINGS]]


def _in_a_line(error: Exception) -> str:
    return " ".join(told(error).splitlines())


def _summary(trained: Sequence[Outcome]) -> str:
    most = max((one.trained for one in trained), key=lambda one: one.rows)
    seconds = max(one.trained.seconds for one in trained)
    return (
        f"Trained {counted(len(trained), 'model')} on {counted(most.rows, 'row')} of "
        f"{counted(most.partitions, 'partition')} in {duration(seconds)}, peak memory "
        f"{max(one.trained.peak_rss_bytes for one in trained) / 1e6:,.0f} MB."
    )


def _table(models: Sequence[Outcome]) -> list[str]:
    has_holdout = any(one.holdout is not None for one in models)
    head = ["label", "version", "partitions", "rows", "loss", "best constant", "loss / constant"]
    head += ["last rows", *(["holdout"] if has_holdout else []), "predictions use"]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    return [*lines, *(_line(_cells(one, has_holdout=has_holdout)) for one in models)]


def _cells(outcome: Outcome, *, has_holdout: bool) -> list[str]:
    trained, holdout = outcome.trained, outcome.holdout
    constant, last = trained.metrics.get("constant_loss"), trained.last_tenth
    cells = [printable(outcome.label).replace("|", "\\|"), f"{trained.version:,}"]
    cells += [f"{trained.partitions:,}", f"{trained.rows:,}", rounded(trained.loss)]
    cells += [rounded(constant), rounded(ratio(trained.loss, constant), 4)]
    cells += [rounded(ratio(last.loss, last.metrics.get("constant_loss")), 4) if last else "-"]
    cells += [rounded(None if holdout is None else holdout.loss)] if has_holdout else []
    return [*cells, "-" if (current := _current(outcome)) is None else f"version {current:,}"]


def _current(outcome: Outcome) -> int | None:
    """Return the version that predictions use after the run, as far as the run knows."""
    if isinstance(outcome.error, VersionRefused):
        return outcome.error.current
    return None if outcome.publication is None else outcome.publication.current


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
