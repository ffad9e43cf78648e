"""The states in which a run of a flow ends.

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

A run of several labels ends in the gravest state that the model of one of them would end in alone:
Failed, Refused, AnotherRunIsTraining, Quarantined, Completed, NothingNew. The others have been
trained and published all the same, and the message says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from onepass.errors import (
    ClusterUnavailable,
    ModelConflict,
    OnepassError,
    StoreUnavailable,
    VersionRefused,
)
from prefect_onepass import messages
from prefect_onepass.messages import told
from prefect_onepass.run_outcome import RunOutcome, Stopped, of_several

NOTHING_NEW = "NothingNew"
REFUSED = "Refused"
QUARANTINED = "Quarantined"
ANOTHER_RUN = "AnotherRunIsTraining"

EXPECTED = (OnepassError, OSError)
"""Errors that a run may meet, whose message says all: it is logged without a traceback."""


def ended(run: RunOutcome) -> State[dict[str, Any]]:
    """Return the state of a run that has come to its end."""
    errors, conflicts = run.errors, run.conflicts
    if len(errors) > len(conflicts):
        return failed(next(iter(errors.values())), messages.failed(run))
    if conflicts:
        text, first = messages.failed(run), conflicts[0]
        alone = _left(first.model, text, first.committed)
        values = run.as_dict() if run.is_of_several else alone
        return Completed(name=ANOTHER_RUN, message=text, data=values)
    values = run.as_dict()
    if run.is_quiet:
        return Completed(name=NOTHING_NEW, message=messages.summary(run), data=values)
    if any(one.trained.quarantined for one in run.models):
        return Completed(name=QUARANTINED, message=messages.quarantined(run), data=values)
    return Completed(message=messages.summary(run), data=values)


def another(
    error: ModelConflict, model: str, places: Mapping[str, str] | None = None
) -> State[dict[str, Any]]:
    """Return the state of a run that has found another one in the model directory at its start.

    Parameters
    ----------
    model
        The directory that the run names.
    places
        Model directories by label, if the run is of several labels.
    """
    text = messages.another(error, model)
    values = _left(model, text)
    if places is not None:
        left = [Stopped(label, place, 0, error).as_dict() for label, place in places.items()]
        values = of_several(model, left, text)
    return Completed(name=ANOTHER_RUN, message=text, data=values)


def _left(model: str, text: str, committed: int = 0) -> dict[str, Any]:
    return {"model": model, "partitions": committed, "message": text, "report": text}


def failed(error: Exception, message: str | None = None) -> State[Any]:
    """Return the state of a run that ends with an error; its result raises the error.

    Parameters
    ----------
    message
        What the state says; the message of the error by default.
    """
    name = REFUSED if isinstance(error, VersionRefused) else "Failed"
    return Failed(name=name, message=message or told(error), data=error)


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
