"""Three habits of Prefect's engine that runs of onepass do without.

An error that a run may meet is logged once, by the flow, in the words of its message. Prefect would
log it with its traceback when the task fails, when the flow fails, and when the process ends.

A run ends when its work has ended. Prefect would then wait for a thread that sleeps for a second at
a time between heartbeats, as it does not for flows that are async.

A run keeps its result although an answer of the server was lost. Prefect asks again, the server
says that the run is in that state already, and Prefect goes on with the state that the server has
sent, which has no result: a call in Python would raise ``MissingResult`` for a run that has
trained.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from prefect import flow_engine
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.exceptions import ParameterTypeError

from prefect_onepass.states import EXPECTED

_LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")
"""Loggers in which the engine tells of errors."""

_FLOWS = {"train", "score", "evaluate"}
"""Flows of onepass; others in this process keep their logs."""


def adapt_engine() -> None:
    """Change these habits in this process; a second call changes nothing."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _OnceInTheLog) for one in logger.filters):
            logger.addFilter(_OnceInTheLog())
    heartbeats = flow_engine._send_heartbeats
    # The name is private, so another version of Prefect may have no such option.
    if "join_on_exit" in inspect.signature(heartbeats).parameters:
        flow_engine._send_heartbeats = partial(heartbeats, join_on_exit=False)
    # The engine knows it by this name only, which other versions of Prefect may not have.
    propose = getattr(flow_engine, "propose_state_sync", None)
    if propose and not isinstance(propose, _KeepResult):
        vars(flow_engine)["propose_state_sync"] = _KeepResult(propose)


class _KeepResult:
    """Proposes a state; gives its result to the equal state that the server may send back."""

    def __init__(self, propose: Callable[..., State[Any]]) -> None:
        self._propose = propose

    def __call__(
        self,
        client: SyncPrefectClient,
        state: State[Any],
        flow_run_id: UUID,
        force: bool = False,
    ) -> State[Any]:
        answer = self._propose(client, state, flow_run_id=flow_run_id, force=force)
        if answer is not state and answer.data is None and _telling(answer) == _telling(state):
            answer.data = state.data
        return answer


def _telling(state: State[Any]) -> tuple[str, str | None, str | None]:
    return state.type.value, state.name, state.message


class _OnceInTheLog(logging.Filter):
    """Drops the tracebacks of expected errors, and the message that a final state repeats."""

    def filter(self, record: logging.LogRecord) -> bool:
        # The logger of the process, unlike those of runs, does not tell the flow.
        if getattr(record, "flow_name", None) not in {*_FLOWS, None}:
            return True
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (*EXPECTED, ParameterTypeError)):
            return False
        if str(record.msg).startswith("Finished in state Failed("):
            record.msg = "Finished in state Failed"
        return True
