"""The command line: `onepass COMMAND`; each command is loaded when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import NoReturn

import click

from onepass.terminal.exits import exit_with

COMMANDS = {
    "inspect": "Show what is in a lake and how each column would be used.",
    "train": "Create a model, or train it on what is new in its lake.",
    "refine": "Take batch passes over what a model has learnt, to the optimum.",
    "path": "Show the coefficients at each of many penalties; choose one.",
    "evaluate": "Compute the metrics of a model on a lake with labels.",
    "compare": "Compare the losses of two models on the same rows.",
    "score": "Write predictions for a lake, as Parquet.",
    "tag": "Name a version, list the names, or choose the version that predictions use.",
    "log": "Show the ledger of a model: what was trained when, and how well.",
    "verify": "Check the ledger, the states, and the files learnt.",
    "report": "Write one self-contained HTML page about a model.",
    "rewind": "Make an earlier version count again; leave out bad files.",
    "summary": "Show the coefficients of a model.",
}
"""Each command with its line of help; the module of the same name in this package defines it."""

ADDED_COMMANDS = {
    "serve": "Run a train job on a schedule, with Prefect.",
    "watch": "Send an event to Prefect when files land in a lake.",
}
"""Commands of other packages, which register them as entry points of `GROUP`."""

GROUP = "onepass.commands"
"""Entry point group in which other packages register commands."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *ADDED_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command: click.Command = import_module(f"onepass.cli.{cmd_name}").command
            return command
        return _added_command(cmd_name) if cmd_name in ADDED_COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # click would load every command for its first line of help.
        with formatter.section("Commands"):
            formatter.write_dl(list((COMMANDS | ADDED_COMMANDS).items()))


def _added_command(name: str) -> click.Command | None:
    # Imported here: importlib.metadata takes a fifth of the time of `onepass --help`.
    from importlib.metadata import entry_points

    return next((point.load() for point in entry_points(group=GROUP, name=name)), None)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error (in any position).")
def onepass(debug: bool) -> None:
    """Train linear models on Parquet lakes larger than memory, in one streaming pass.

    Exit codes: 0 done; 2 wrong usage or job; 3 bad or changed data; 4 another writer or a foreign
    model; 5 version refused by --max-loss-increase; 130 interrupted.
    """
    del debug


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code of the outcome."""
    exit_with(onepass, argv)
