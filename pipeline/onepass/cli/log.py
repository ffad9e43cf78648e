"""`onepass log`."""

from __future__ import annotations

import json

import click

from onepass.ledger.entries import (
    AnyEntry,
    PlanEntry,
    RefineEntry,
    RewindEntry,
    SkipEntry,
    TrainEntry,
)
from onepass.ledger.table_mark import TableMark, version_label
from onepass.ledger.tags import Tags
from onepass.model.directory import open_model
from onepass.report.learning_curve import CurvePoint, learning_curve
from onepass.terminal.options import json_option
from onepass.terminal.printing import print_table, say
from onepass.terminal.text_plot import text_plot
from onepass.text import counted

_HEADER = (
    *("version", "tags", "time", "action", "partition", "rows", "loss"),
    *("last tenth", "seconds", "noticed"),
)

_MOST_DRAWN = 60
"""Most points of the curve, about one for each column of a terminal."""


@click.command("log")
@click.argument("model", metavar="DIR")
@click.option("--curve", is_flag=True, help="Draw the loss against the rows learnt instead.")
@json_option
def command(model: str, curve: bool, as_json: bool) -> None:
    """Show the ledger of a model: version, partition, rows, loss, time."""
    opened = open_model(model)
    if curve:
        trained = opened.ledger.history.trained()
        if as_json:
            points = [point.model_dump() for point in learning_curve(trained)]
            click.echo(json.dumps({"curve": points}))
        else:
            _draw(learning_curve(trained, _MOST_DRAWN))
        return
    if as_json:
        entries = [_as_json(entry) for entry in opened.ledger.entries]
        tags = {name: tag.version for name, tag in opened.ledger.tags.named().items()}
        click.echo(json.dumps({"entries": entries, "tags": tags}))
        return
    undone, tagged = opened.ledger.history.undone(), _names_of_versions(opened.ledger.tags)
    rows = []
    for entry in opened.ledger.entries:
        version, *cells = _row(entry, undone.get(entry.version))
        rows.append([version, ", ".join(tagged.get(entry.version, [])), *cells])
    # Most models have no tags.
    if not tagged:
        rows = [[row[0], *row[2:]] for row in rows]
    header = _HEADER if tagged else (_HEADER[0], *_HEADER[2:])
    print_table(rows, header, right=(0, 5, 6, 7, 8) if tagged else (0, 4, 5, 6, 7))


def _draw(points: list[CurvePoint]) -> None:
    signs = {"-": [one.constant_loss for one in points], "*": [one.loss for one in points]}
    lines = text_plot([one.learnt for one in points], signs)
    if not lines:
        say("no loss is known: the model has learnt nothing yet")
        return
    say(
        "progressive loss, mean per row (*), and that of the best constant (-), against rows learnt"
    )
    say("\n".join(lines))


def _names_of_versions(tags: Tags) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name, tag in tags.named().items():
        if tag.version is not None:
            found.setdefault(tag.version, []).append(name)
    return found


def _row(entry: AnyEntry, undone_by: int | None) -> list[str]:
    *cells, noticed = _cells(entry)
    if undone_by is None or isinstance(entry, RewindEntry):
        return [*cells, noticed]
    return [*cells, f"undone by {undone_by}" + (f", {noticed}" if noticed else "")]


def _cells(entry: AnyEntry) -> list[str]:
    action = entry.kind if isinstance(entry, SkipEntry) else entry.action
    head = [str(entry.version), entry.time[:19].replace("T", " "), action]
    match entry:
        case TrainEntry():
            name = _names(entry)
            noticed = ", ".join(f"{kind} {n:,}" for kind, n in entry.counts.items())
            last = "" if entry.last_tenth is None else _shown(entry.last_tenth.loss)
            seconds = f"{entry.seconds:.3f}"
            return [*head, name, f"{entry.rows:,}", _shown(entry.loss), last, seconds, noticed]
        case SkipEntry():
            return [*head, entry.partition.path, "", "", "", "", entry.reason]
        case RefineEntry(n_passes=0):
            noticed = f"the quadratic model of the loss rises by {entry.losses[-1]:.5g}"
            return [*head, f"chosen from the {entry.rule}", "", "", "", "", noticed]
        case RefineEntry():
            ended = ", not converged" if entry.settled is False else ""
            text = f"{len(entry.losses)} passes of {entry.rule}{ended}"
            first, last = (f"{loss:.5g}" for loss in (entry.losses[0], entry.losses[-1]))
            noticed = f"objective {first} -> {last}"
            return [*head, text, f"{entry.rows:,}", "", "", f"{entry.seconds:.3f}", noticed]
        case RewindEntry():
            noticed = f"without {', '.join(entry.exclude)}" if entry.exclude else ""
            return [*head, f"to version {entry.to}", "", "", "", "", noticed]
        case PlanEntry():
            n_partitions = sum(len(group.partitions) for group in entry.groups)
            rows = sum(group.rows for group in entry.groups)
            noticed = "" if entry.table is None else _table(entry.table)
            return [*head, counted(n_partitions, "partition"), f"{rows:,}", "", "", "", noticed]


def _table(mark: TableMark) -> str:
    """Return what a plan says of a table."""
    found = [f"{mark.format} {version_label(mark.format, mark.version)}"]
    found += [f"{len(mark.rewritten):,} rewritten"] if mark.rewritten else []
    found += [f"{len(mark.left_out):,} left out"] if mark.left_out else []
    return ", ".join(found)


def _shown(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.5g}"


def _names(entry: TrainEntry) -> str:
    names = [partition.name for partition in entry.partitions]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    notes = [f"round of {len(entry.round)}"] if entry.round else []
    notes += [f"epoch {entry.epoch}"] if entry.epoch > 1 else []
    return f"{names[0]}{more}" + (f" ({', '.join(notes)})" if notes else "")


def _as_json(entry: AnyEntry) -> dict[str, object]:
    content = entry.model_dump(mode="json")
    if isinstance(entry, PlanEntry):
        # The plan of a large lake would be most of the output; the file in log/ has all of it.
        content["groups"] = len(entry.groups)
    return content
