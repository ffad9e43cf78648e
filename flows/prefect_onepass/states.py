"""The states in which a run of a flow ends, and what they say.

=========  ======================  ==========================================================
type       name                    when
=========  ======================  ==========================================================
Completed  Completed               partitions were trained
Completed  NothingNew              the model has seen all that the lake holds
Completed  Quarantined             the rest was trained; some files wait to be replaced
Completed  AnotherRunIsTraining    another process holds the model, or has committed first
Failed     Refused                 the guard of the job has refused the version
Failed     Failed                  an error; its message is that of the state
=========  ======================  ==========================================================
"""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from onepass.errors import (
    ClusterUnavailable,
    ModelBusy,
    ModelConflict,
    OnepassError,
    StoreUnavailable,
    VersionRefused,
)
from onepass.text import counted, printable
from onepass.training.report import TrainReport, nothing_to_train
from onepass.wording import spoken
from prefect_onepass.outcome import Outcome

NOTHING_NEW = "NothingNew"
REFUSED = "Refused"
QUARANTINED = "Quarantined"
ANOTHER_RUN = "AnotherRunIsTraining"

_MOST_NAMED = 8
"""Most files that a state names."""

EXPECTED = (OnepassError, OSError)
"""Errors that a run may meet, whose message says all: it is logged without a traceback."""


def ended(outcome: Outcome) -> State[dict[str, Any]]:
    """Return the state of a run that has come to its end."""
    values = outcome.as_dict()
    if outcome.is_quiet:
        return Completed(name=NOTHING_NEW, message=nothing_new(outcome), data=values)
    if outcome.trained.quarantined:
        return Completed(name=QUARANTINED, message=quarantined(outcome), data=values)
    return Completed(message=summary(outcome), data=values)


def summary(outcome: Outcome) -> str:
    """Return in a line what a run has trained."""
    trained = outcome.trained
    left_out = f", {trained.skipped:,} left out (onepass log says why)" if trained.skipped else ""
    partitions = counted(trained.partitions, "partition")
    return f"Trained {partitions}{left_out}: version {trained.version}{_published(outcome)}"


def quarantined(outcome: Outcome) -> str:
    """Return what a run has trained, and in a line each file that it has put in quarantine."""
    files = outcome.trained.quarantined
    named = [f"  {printable(one.reason)}" for one in files[:_MOST_NAMED]]
    more = [f"  and {len(files) - _MOST_NAMED:,} more"] if len(files) > _MOST_NAMED else []
    head = f"{summary(outcome)}; {counted(len(files), 'file')} in quarantine until replaced:"
    return "\n".join([head, *named, *more])


def nothing_new(outcome: Outcome) -> str:
    """Return in a line why a run had nothing to train."""
    trained = outcome.trained
    if outcome.newest is None:
        why = nothing_to_train(trained.left_out, has_trained=False, n_pruned=trained.pruned_files)
    else:
        # The log has times in UTC, such as 2026-11-28T03:00:12.345+00:00.
        since = outcome.newest[:16].replace("T", " ")
        why = f"nothing new since {since} UTC{_left(trained)}"
    return f"{why}: version {trained.version}{_published(outcome)}"


def _left(trained: TrainReport) -> str:
    """Return which partitions of the lake are not trained."""
    numbers = {
        "left out": trained.left_out,
        "in quarantine": trained.in_quarantine,
        "held out": len(trained.held_out),
        "left out by the condition": trained.pruned_files,
    }
    return "".join(f", {number:,} {what}" for what, number in numbers.items() if number)


def _published(outcome: Outcome) -> str:
    """Return the end of a message, if predictions use another version than the newest one."""
    publication = outcome.publication
    if publication is None or publication.outcome in {"published", "unchanged"}:
        return ""
    return f"; predictions use version {publication.current} ({publication.why})"


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
            "Files that the other run does not find any more are trained by the next run"
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


def failed(error: Exception) -> State[Any]:
    """Return the state of a run that ends with an error; its result raises the error."""
    name = REFUSED if isinstance(error, VersionRefused) else "Failed"
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
        if isinstance(error, OnepassError):
            return error.exit_code
        return 2 if isinstance(error, OSError) else 1
    return ModelConflict.exit_code if state.name == ANOTHER_RUN else 0


def may_pass(task: Any, task_run: Any, state: Any) -> bool:
    """Return whether a retry may succeed, as after an error of a disk, a network or a cluster."""
    error = state.result(raise_on_failure=False)
    is_of_the_system = isinstance(error, OSError) and not isinstance(error, OnepassError)
    return is_of_the_system or isinstance(error, StoreUnavailable | ClusterUnavailable)
