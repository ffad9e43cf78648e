"""The command line: `onepass COMMAND`; each command is loaded when it is called."""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import click

from onepass.text import printable

COMMANDS = {
    "inspect": ("onepass.cli.inspect", "What is in a lake and how each column would be used."),
    "train": ("onepass.cli.train", "Create a model, or train it on what is new in its lake."),
    "refine": ("onepass.cli.refine", "Batch passes over what a model has learnt, to the optimum."),
    "evaluate": ("onepass.cli.evaluate", "Metrics of a model on a lake with labels."),
    "score": ("onepass.cli.score", "Predictions for a lake, as Parquet."),
    "log": ("onepass.cli.log", "The ledger of a model: what was trained when, and how well."),
    "verify": ("onepass.cli.verify", "Check the ledger, the states, and the files learnt."),
    "rewind": ("onepass.cli.rewind", "Let an earlier version count again; leave out bad files."),
    "summary": ("onepass.cli.summary", "Coefficients of a model."),
    # The only command that needs Prefect lives with the flows.
    "serve": ("prefect_onepass.serve", "Run a train job on a schedule, with Prefect."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # click would load every command for its first line of help.
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error (in any position).")
def onepass(debug: bool) -> None:
    """Train linear models on Parquet lakes larger than memory, in one streaming pass.

    Exit codes: 0 done; 2 wrong usage or job; 3 bad or changed data; 4 another writer or a foreign
    model; 130 interrupted.
    """
    del debug


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code of the outcome."""
    exit_with(onepass, argv)


def exit_with(command: click.Command, argv: list[str] | None = None) -> NoReturn:
    """Run a command and exit: errors become one or two lines on stderr and an exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("warning: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        command.main(args=arguments, prog_name=command.name, standalone_mode=False)
    except BaseException as error:
        # The end of the program: interrupts and exits, too, become a code, and nothing is dropped.
        if debug:
            click.echo(printable(traceback.format_exc(), lines=True), err=True, nl=False)
        sys.exit(_exit_code(error))
    sys.exit(0)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _exit_code(error: BaseException) -> int:
    from onepass.errors import OnepassError

    match error:
        case OnepassError():
            return _say(str(error), error.exit_code)
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException():
            return _say(error.format_message(), 2)
        case KeyboardInterrupt() | click.Abort():
            # Commands say themselves what was kept.
            return 130
        case SystemExit(__context__=BrokenPipeError()):
            return 0  # Whoever reads has seen enough; click makes it a 1.
        case OSError():
            where = f": {printable(str(error.filename))}" if error.filename else ""
            return _say(f"{error.strerror or error}{where}", 2)
        case SystemExit():
            return int(error.code or 0)
        case _:
            kind = type(error).__name__
            return _say(f"unexpected {kind}: {error} (--debug shows where)", 1)


def _say(message: str, code: int) -> int:
    # The disk that is full may be the one that stderr is written to; the code tells nevertheless.
    with suppress(OSError):
        click.echo(printable(f"onepass: {message}", lines=True), err=True)
    return code
