"""`onepass tag`."""

from __future__ import annotations

import click

from onepass.actions.tag import Tagged, TagReport, tag
from onepass.ledger.tag_entry import TagEntry
from onepass.terminal.options import json_option
from onepass.terminal.printing import print_json, print_table, say


@click.command("tag")
@click.argument("model", metavar="DIR")
@click.argument("name", required=False)
@click.option(
    "--version",
    metavar="VERSION|TAG|newest",
    help="Version that the tag is to name; the current one by default.",
)
@click.option(
    "--expect", metavar="VERSION|none", help="Do nothing unless the tag names this version now."
)
@click.option("--reason", default="", help="Text for the history of the tag.")
@click.option("--delete", is_flag=True, help="Delete the tag.")
@click.option("--history", is_flag=True, help="Show every move of the tags.")
@json_option
def command(
    model: str,
    name: str | None,
    version: str | None,
    expect: str | None,
    reason: str,
    delete: bool,
    history: bool,
    as_json: bool,
) -> None:
    """Name a version of the model in DIR, or list the names.

    States of versions that tags name are kept. The tag current names the version that predictions
    use; where it has never been set, the newest version is meant. Tags may be moved while a run
    trains.
    """
    is_list = name is None or (history and version is None and not delete)
    report = tag(
        model,
        None if is_list else name,
        version,
        expect=expect,
        reason=reason,
        delete=delete,
    )
    if is_list and name is not None:
        moves = [one for one in report.history if one.name == name]
        report = report.model_copy(update={"history": moves})
    if as_json:
        print_json(report)
    elif history:
        _print_history(report.history)
    elif name is None:
        _print_tags(report.tags)
    else:
        _print_move(report)


def _print_move(report: TagReport) -> None:
    move = report.history[-1]
    if move.version is None:
        say(f"the tag {move.name} is deleted")
    else:
        say(f"{move.name} is version {move.version}")


def _print_tags(tags: list[Tagged]) -> None:
    header = ("tag", "version", "loss", "time", "by", "noticed")
    print_table([_row(one) for one in tags], header, right=(1, 2))


def _row(one: Tagged) -> list[str]:
    noticed = [] if one.counts else ["undone by a rewind"]
    noticed += [] if one.has_state else ["its state is missing"]
    noticed += [one.reason] if one.reason else []
    loss = "-" if one.loss is None else f"{one.loss:.5g}"
    time = one.time[:19].replace("T", " ")
    return [one.name, str(one.version), loss, time, one.by or "", "; ".join(noticed)]


def _print_history(moves: list[TagEntry]) -> None:
    rows = [
        [
            one.time[:19].replace("T", " "),
            one.name,
            "deleted" if one.version is None else str(one.version),
            one.by,
            one.reason,
        ]
        for one in moves
    ]
    print_table(rows, ("time", "tag", "version", "by", "reason"), right=(2,))
