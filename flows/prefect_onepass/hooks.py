"""Hooks of flows that train: when a run fails, crashes or is cancelled, say what is kept.

Prefect calls a hook in the process of the run, or in that of the worker if the run's process is
gone. So a hook knows the parameters of the run, reads the model directory, and writes to the log of
the run. It is bounded in time and never raises.
"""

# Prefect calls hooks of served flows by keyword: the names of the parameters are part of the call.
import logging
import shlex
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from onepass.errors import ModelNotFound
from onepass.ledger.entries import TrainEntry
from onepass.ledger.history import History
from onepass.ledger.store import open_store
from onepass.model.directory import open_model
from onepass.model.labels import read_labels
from onepass.text import counted, printable
from prefect_onepass.credentials import lent
from prefect_onepass.live_progress import remove_progress
from prefect_onepass.states import REFUSED

_MOST_SECONDS = 10.0
"""Longest time that a hook takes: a worker stops the run's process group only afterwards."""

_NONE = "no model was created yet"

_MOST_LABELS = 8
"""Most labels of which a hook says what is kept."""


def on_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """Say what is kept after an error; a refusal has said it."""
    if state.name != REFUSED:
        _tell("failed", flow, flow_run)


def on_crashed(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """Say what is kept after the run's process has ended without an answer."""
    _tell("crashed", flow, flow_run)
    _remove_ring(flow_run)


def on_cancellation(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """Say what is kept after the run has been cancelled."""
    _tell("was cancelled", flow, flow_run)
    _remove_ring(flow_run)


@dataclass(frozen=True, slots=True)
class Kept:
    """Text about the models of a directory, and how many of them exist."""

    text: str
    n_models: int
    """Models that the text is about."""
    n_created: int
    """Those of them that exist."""


def kept(model: str, credentials: str | None = None) -> Kept:
    """Say what a model directory holds: the newest version, its rows, and what is pending.

    Of several labels it says so of each, and of the first ones if there are many.

    Raises
    ------
    OnepassError
        If the directory or the credentials cannot be read.
    """
    with lent(credentials):
        several = read_labels(open_store(model))
        if several is None:
            held = _held(model)
            return Kept(held or _NONE, 1, int(held is not None))
        pairs = list(zip(several.labels, several.places(model), strict=True))
        found = {label: _held(place) for label, place in pairs[:_MOST_LABELS]}
    lines = [f"{printable(label)}: {held or _NONE}" for label, held in found.items()]
    more = [f"and {len(pairs) - _MOST_LABELS:,} more"] if len(pairs) > _MOST_LABELS else []
    n_created = sum(held is not None for held in found.values())
    return Kept(". ".join([*lines, *more]), len(found), n_created)


def _held(model: str) -> str | None:
    """Describe the model in a directory; return None if there is none."""
    try:
        return describe_history(open_model(model).ledger.history)
    except ModelNotFound:
        return None


def describe_history(history: History) -> str:
    """Describe the newest version that has a state, and the rest of the plan."""
    learnt = history.learnt()
    pending = [one for group in history.pending() for one in group.partitions]
    rest = (
        f"{counted(len(pending), 'partition')} of the plan with "
        f"{counted(sum(one.rows for one in pending), 'row')} are still to be trained"
        if pending
        else "nothing of the plan is left to train"
    )
    if not learnt:
        return f"no version is trained yet; {rest}"
    trained = [entry for entry in learnt if isinstance(entry, TrainEntry)]
    n_partitions = sum(len(entry.partitions) for entry in trained)
    return (
        f"version {learnt[-1].version} of {learnt[-1].time[:19]} is kept, with "
        f"{counted(n_partitions, 'partition')} and "
        f"{counted(sum(entry.rows for entry in trained), 'row')}; {rest}"
    )


def _tell(what: str, flow: Flow[..., Any], flow_run: FlowRun) -> None:
    """Log what is kept, within a bounded time; a directory may lie on a disk that hangs."""
    with suppress(Exception):
        logger = flow_run_logger(flow_run, flow)
        model, credentials = _model_of(flow_run.parameters)
        if model is None:
            return
        found: list[Kept] = []
        reading = threading.Thread(
            target=_read, args=(model, credentials, found), name="onepass-kept", daemon=True
        )
        reading.start()
        reading.join(_MOST_SECONDS)
        unread = Kept(f"the model could not be read in {_MOST_SECONDS:.0f} s", 0, 0)
        held = found[0] if found else unread
        run = "The next run of this deployment" if flow_run.deployment_id else "The next run"
        logger.log(
            logging.WARNING,
            "This run %s. Model %s: %s. %s %s",
            what,
            printable(model),
            held.text,
            run,
            _next(held, model),
        )


def _next(held: Kept, model: str) -> str:
    """Return what the next run does: the end of a sentence."""
    if held.n_created == held.n_models:
        return f"goes on from there, as does: onepass train --model {printable(shlex.quote(model))}"
    # The command alone cannot create a model: it does not know the lake.
    return "goes on from there" if held.n_created else "begins anew"


def _remove_ring(flow_run: FlowRun) -> None:
    """Remove the progress of a run whose process could not: a ring that stands still misleads."""
    with suppress(Exception), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        remove_progress(flow_run_id=flow_run.id)


def _read(model: str, credentials: str | None, found: list[Kept]) -> None:
    try:
        found.append(kept(model, credentials))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        found.append(Kept(f"it cannot be read: {printable(reason)}", 0, 0))


def _model_of(parameters: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the model and the credentials that the parameters of a run name."""
    job = parameters.get("job", parameters)
    model = job.get("model") if isinstance(job, Mapping) else getattr(job, "model", None)
    credentials = parameters.get("credentials")
    return (model if isinstance(model, str) else None), credentials
