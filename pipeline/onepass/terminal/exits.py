"""Run a command and exit: errors become one or two lines on stderr and an exit code."""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any, NoReturn

import click

from onepass.text import printable
from onepass.wording import speaking


def exit_with(command: click.Command, argv: list[str] | None = None) -> NoReturn:
    """Run a command and exit with the code of its outcome.

    Parameters
    ----------
    argv
        Arguments of the command; those of this process by default. ``--debug`` may stand anywhere
        among them and adds the traceback of an error, and the logs of Dask.
    """
    arguments = sys.argv[1:] if argv is None else argv
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("warning: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if debug:
        # Dask's own logs are shown as well; see `onepass.stream.cluster.connection.quiet`.
        logging.getLogger("onepass.cluster").setLevel(logging.DEBUG)
    signal.signal(signal.SIGTERM, _interrupt)
    with speaking("flags"):
        sys.exit(_run(command, arguments, debug=debug))


def _run(command: click.Command, arguments: list[str], *, debug: bool) -> int:
    try:
        command.main(args=arguments, prog_name=command.name, standalone_mode=False)
    except BaseException as error:
        # The program ends here, so interrupts and exits are turned into a code as well.
        if debug:
            click.echo(printable(traceback.format_exc(), lines=True), err=True, nl=False)
        return _exit_code(error)
    return 0


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _exit_code(error: BaseException) -> int:
    # Imported here: a command that succeeds, such as --help, needs none of it.
    from onepass.errors import OnepassError

    match error:
        case OnepassError():
            return _print_error(str(error), error.exit_code)
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException():
            return _print_error(error.format_message(), 2)
        case KeyboardInterrupt() | click.Abort():
            # The command has printed what is kept.
            return 130
        case SystemExit(__context__=BrokenPipeError()):
            return 0  # The reader of the pipe has seen enough; click makes it a 1.
        case OSError():
            where = f": {printable(str(error.filename))}" if error.filename else ""
            return _print_error(f"{error.strerror or error}{where}", 2)
        case SystemExit():
            return int(error.code or 0)
        case _:
            kind = type(error).__name__
            return _print_error(f"unexpected {kind}: {error} (--debug shows where)", 1)


def _print_error(message: str, code: int) -> int:
    # stderr may lie on the disk that is full; the exit code reports the error nevertheless.
    with suppress(OSError):
        click.echo(printable(f"onepass: {message}", lines=True), err=True)
    return code
