"""The states in which a run of a flow ends, and what they say.

=========  ======================  ==========================================================
type       name                    when
=========  ======================  ==========================================================
Completed  Completed               partitions were trained
Completed  NothingNew              the model has seen all that the lake holds
Completed  AnotherRunIsTraining    another process holds the model, or has committed first
Failed     Failed                  an error; its message is that of the state
=========  ======================  ==========================================================
"""

from __future__ import annotations

import logging
from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import ParameterTypeError
from prefect.states import Completed, Failed

from onepass.errors import (
    ClusterUnavailable,
    ModelBusy,
    ModelConflict,
    OnepassError,
    StoreUnavailable,
)
from onepass.text import counted, printable
from onepass.training.report import nothing_to_train
from onepass.wording import spoken
from prefect_onepass.outcome import Outcome

NOTHING_NEW = "NothingNew"
ANOTHER_RUN = "AnotherRunIsTraining"

EXPECTED = (OnepassError, OSError)
"""Errors that a run may meet, whose message says all: it is logged without a traceback."""


def ended(outcome: Outcome) -> State[dict[str, Any]]:
    """Return the state of a run that has come to its end."""
    values = outcome.as_dict()
    if outcome.is_quiet:
        return Completed(name=NOTHING_NEW, message=nothing_new(outcome), data=values)
    return Completed(message=summary(outcome), data=values)


def summary(outcome: Outcome) -> str:
    """Return in a line what a run has trained."""
    trained = outcome.trained
    left_out = f", {trained.skipped:,} left out (onepass log says why)" if trained.skipped else ""
    partitions = counted(trained.partitions, "partition")
    return f"Trained {partitions}{left_out}: version {trained.version}"


def nothing_new(outcome: Outcome) -> str:
    """Return in a line why a run had nothing to train."""
    version = outcome.trained.version
    if outcome.newest is None:
        why = nothing_to_train(outcome.trained.left_out, has_trained=False)
        return f"{why}: version {version}"
    # The log has times in UTC, such as 2026-11-28T03:00:12.345+00:00.
    since = outcome.newest[:16].replace("T", " ")
    left = f", {outcome.trained.left_out:,} left out" if outcome.trained.left_out else ""
    return f"nothing new since {since} UTC{left}: version {version}"


def another(error: OnepassError, model: str, committed: int) -> State[dict[str, Any]]:
    """Return the state of a run that has left the model to another writer.

    Parameters
    ----------
    error
        The conflict with the other writer.
    model
        The model directory.
    committed
        Partitions that this run has committed before.
    """
    if isinstance(error, ModelBusy):
        text = (
            f"process {error.holder} is training the model in {model!r}; this run did nothing. "
            "The next run trains the files that have arrived since the plan of the other one"
        )
    else:
        kept = counted(committed, "partition")
        text = (
            f"another run trains the model in {model!r} and has committed first; "
            f"{kept} of this run were committed before and count. The other run goes on, and the "
            "next run trains what it leaves"
        )
    values = {"model": model, "partitions": committed, "message": text, "report": text}
    return Completed(name=ANOTHER_RUN, message=text, data=values)


def failed(error: Exception, name: str = "Failed") -> State[Any]:
    """Return the state of a run that ends with an error; its result raises the error."""
    return Failed(name=name, message=told(error), data=error)


def told(error: BaseException) -> str:
    """Return the message of an error, in the words of whoever asked."""
    if isinstance(error, OSError) and not isinstance(error, OnepassError):
        where = f": {error.filename}" if error.filename else ""
        return printable(f"{error.strerror or error}{where}")
    return printable(spoken(str(error)), lines=True)


def exit_code_of(state: State[Any]) -> int:
    """Return the exit code of a command that has run a flow, as `onepass` has it."""
    if state.is_failed():
        error = state.result(raise_on_failure=False)
        return error.exit_code if isinstance(error, OnepassError) else 2
    return ModelConflict.exit_code if state.name == ANOTHER_RUN else 0


def may_pass(task: Any, task_run: Any, state: Any) -> bool:
    """Return whether a retry may succeed, as after an error of a disk, a network or a cluster."""
    error = state.result(raise_on_failure=False)
    is_of_the_system = isinstance(error, OSError) and not isinstance(error, OnepassError)
    return is_of_the_system or isinstance(error, StoreUnavailable | ClusterUnavailable)


class _OnceInTheLog(logging.Filter):
    """Keeps an expected error out of Prefect's own messages.

    The flow logs such an error once. Prefect would log it with its traceback when the task fails,
    and again when the flow does and when its process ends.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (*EXPECTED, ParameterTypeError)):
            return False
        if str(record.msg).startswith("Finished in state Failed("):
            record.msg = "Finished in state Failed"
        return True


def tell_errors_once() -> None:
    """Keep expected errors out of the messages of Prefect's engine, in this process."""
    for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
        logger = logging.getLogger(name)
        if not any(isinstance(one, _OnceInTheLog) for one in logger.filters):
            logger.addFilter(_OnceInTheLog())
