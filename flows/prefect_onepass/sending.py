"""Send events in the background of a run, so that a server that is away cannot fail or delay it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.events import Event, RelatedResource
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from prefect_onepass.events import MOST_NAMED

_POST_SECONDS = 10
"""Time in which the server must answer."""


class Sends(Protocol):
    """The method of a run's background by which `emit` sends events."""

    def send(self, what: str, call: Callable[[], object]) -> None:
        """Call a function in the background, again if it fails; never raise."""


def emit(event: Event, background: Sends) -> None:
    """Send an event in the background, with the flow run that it comes from.

    Never raises and never waits.
    """
    known = {resource.id for resource in event.involved_resources}
    event.related += [one for one in _run_resources() if one.id not in known]
    background.send(f"the event {event.event}", partial(post, event))


def post(event: Event) -> None:
    """Send an event to the server and wait until it has it; send the same event again at will.

    Raises
    ------
    Exception
        Of the client, if the server is away, refuses the event, or takes more than ten seconds.

    Notes
    -----
    `prefect.events.emit_event` would drop events of a server that is away for some ten seconds and
    tell nobody. The server ignores an event whose id it has.
    """
    # The caller repeats the call, so the client need not.
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(httpx_settings={"timeout": _POST_SECONDS}, sync_client=True) as client,
    ):
        # The client has no method of its own for events.
        client._client.post("/events", json=[event.model_dump(mode="json")]).raise_for_status()


def _run_resources() -> list[RelatedResource]:
    """Return the flow run of this context, its flow, deployment and tags, as Prefect names them."""
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    if context is None or run is None:
        return []
    flow_name = context.flow.name if context.flow is not None else ""
    named = [
        ("flow-run", "flow-run", str(run.id), run.name),
        ("flow", "flow", str(run.flow_id), flow_name),
        ("deployment", "deployment", str(run.deployment_id or ""), ""),
        *(("tag", "tag", tag, "") for tag in sorted(run.tags)[:MOST_NAMED]),
    ]
    return [
        RelatedResource(
            {
                "prefect.resource.id": f"prefect.{kind}.{one}",
                "prefect.resource.role": role,
                **({"prefect.resource.name": name} if name else {}),
            }
        )
        for kind, role, one, name in named
        if one
    ]
