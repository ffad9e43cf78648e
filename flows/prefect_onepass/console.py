"""A run goes on when nobody reads its console any more.

A worker that is killed leaves its runs behind, and their output is a broken pipe. At the next line
of the log, rich, with which Prefect prints it, would end the run by `SystemExit`. The lines still
reach the page of the run.
"""

from __future__ import annotations

import logging
from functools import partial

from prefect.logging.handlers import PrefectConsoleHandler


def outlive_console() -> None:
    """Let the consoles of this process fall silent where they would end it."""
    known = logging.root.manager.loggerDict.values()
    loggers = [logging.root, *(one for one in known if isinstance(one, logging.Logger))]
    for handler in (handler for logger in loggers for handler in logger.handlers):
        if isinstance(handler, PrefectConsoleHandler):
            console = handler.console
            # A method that rich means to be replaced.
            console.on_broken_pipe = partial(setattr, console, "quiet", True)  # type: ignore[method-assign]
