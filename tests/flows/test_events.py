"""Events: what they tell, that they arrive, and that the triggers of the examples match them."""

from __future__ import annotations

import json
import math
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import yaml

from lakes import ROOT

pytestmark = pytest.mark.filterwarnings("default")

EXAMPLES = ROOT / "examples" / "automations"


class Sent:
    """Takes the place of a background, and keeps what it is asked to send."""

    def __init__(self):
        self.events = []

    def send(self, what, call):
        assert what.startswith("the event onepass.")
        self.events += call.args


def entry(version, rows, loss, *paths):
    """A committed round, as far as events look at it."""
    from onepass.ledger.entries import TrainEntry

    partitions = [SimpleNamespace(path=path) for path in paths]
    return TrainEntry.model_construct(
        version=version,
        epoch=1,
        rows=rows,
        loss=loss,
        metrics={"constant_loss": 2.0},
        seconds=0.5,
        partitions=partitions,
    )


@pytest.fixture
def subject():
    from prefect_onepass.events import Subject

    return Subject("ab12", "/srv/models/clicks", "clicked", "/srv/lakes/clicks")


def examples(subject):
    """One event of each kind, by its name."""
    from prefect_onepass import events

    built = [
        events.partition_trained(subject, [entry(2, 10, 1.0, "a.parquet")]),
        events.model_updated(
            subject, version=2, state_sha256="00", partitions=1, rows=10, loss=1.0, seconds=0.5
        ),
        events.model_refused(
            subject,
            version=2,
            current=1,
            by="holdout",
            loss=2.0,
            limit=1.5,
            current_loss=1.0,
            reason="worse",
        ),
        events.model_quarantined(subject, version=2, files={"b.parquet": "no footer"}),
        events.lake_landed("/srv/lakes/clicks", new=["a.parquet"], replaced=[], n_bytes=10),
    ]
    return {event.event: event for event in built}


def test_models_of_a_run_send_together_no_more_events_than_one(subject):
    from prefect_onepass.announce import TrainedRounds

    sent, now = Sent(), [0.0]
    with ExitStack() as stack:
        rounds = [
            stack.enter_context(
                TrainedRounds(subject, sent, seconds=2.0, clock=lambda: now[0], n_beside=5)
            )
            for _ in range(5)
        ]
        for version in range(1, 101):
            for one in rounds:
                one.committed(entry(version, 10, 1.0, f"{version}.parquet"), None)
            now[0] += 0.2
    # 20 seconds: each model sends its first round, one event in ten seconds, and the rest.
    assert len(sent.events) == 5 * (1 + 1 + 1)
    assert sum(event.payload["rows"] for event in sent.events) == 5000


def test_rounds_that_are_quick_share_an_event_and_none_is_lost(subject):
    from prefect_onepass.announce import TrainedRounds

    sent, now = Sent(), [0.0]
    with TrainedRounds(subject, sent, seconds=2.0, clock=lambda: now[0]) as rounds:
        for version in range(1, 101):
            rounds.committed(entry(version, 10, float(version), f"{version}.parquet"), None)
            now[0] += 0.1
    payloads = [event.payload for event in sent.events]
    assert len(payloads) <= 7
    assert sum(payload["rows"] for payload in payloads) == 1000
    assert sum(payload["n_partitions"] for payload in payloads) == 100
    assert [payload["version"] for payload in payloads][-1] == 100
    starts = [payload["first_version"] for payload in payloads]
    assert starts == [1, *(payload["version"] + 1 for payload in payloads[:-1])]
    assert payloads[0]["loss"] == 1.0
    assert payloads[1]["loss"] == pytest.approx(
        (payloads[1]["first_version"] + payloads[1]["version"]) / 2
    )


def test_payload_is_bounded_json_whatever_is_in_it(subject):
    from prefect_onepass import events

    names = [f"{'x' * 5000}\x1b{i}.parquet" for i in range(5000)]
    found = [
        events.partition_trained(subject, [entry(2, 0, math.nan, *names)]),
        events.lake_landed("/srv/l", new=names, replaced=names, n_bytes=10**15),
        events.model_quarantined(subject, version=1, files=[(name, name) for name in names]),
        events.model_refused(
            subject,
            version=2,
            current=1,
            by="holdout",
            loss=math.inf,
            limit=math.nan,
            current_loss=None,
            reason="r" * 10**6,
        ),
    ]
    for event in found:
        text = json.dumps(event.payload, allow_nan=False)
        assert len(text) < 100_000
        assert "\\u001b" not in text
    assert found[0].payload["loss"] is None
    assert found[0].payload["n_partitions"] == 5000
    assert len(found[0].payload["partitions"]) == events.MOST_NAMED


def test_docs_have_every_field_of_every_event(subject):
    text = (ROOT / "docs" / "events.md").read_text()
    for name, event in examples(subject).items():
        (section,) = [part for part in text.split("\n## ") if part.startswith(f"`{name}`")]
        assert [field for field in event.payload if f"`{field}`" not in section] == []


def test_examples_are_what_prefect_takes():
    from prefect.events.schemas.automations import AutomationCore
    from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

    automation = AutomationCore.model_validate(
        yaml.safe_load((EXAMPLES / "notify.yaml").read_text())
    )
    # `prefect` ignores fields that it does not know, such as a misspelt one.
    written = yaml.safe_load((EXAMPLES / "notify.yaml").read_text())
    assert set(written) <= set(AutomationCore.model_fields)
    assert set(written["trigger"]) <= set(type(automation.trigger).model_fields)
    deployments = yaml.safe_load((EXAMPLES / "prefect.yaml").read_text())["deployments"]
    for trigger in (one for deployment in deployments for one in deployment["triggers"]):
        DeploymentEventTrigger.model_validate(trigger)
        assert set(trigger) <= set(DeploymentEventTrigger.model_fields)


def server_trigger(written):
    from prefect.server.events.schemas.automations import EventTrigger

    fields = {"type", "expect", "match", "match_related", "posture", "threshold", "within"}
    return EventTrigger.model_validate(
        {"posture": "Reactive"} | {key: written[key] for key in fields & set(written)}
    )


def received(event):
    from prefect.server.events.schemas.events import Event, ReceivedEvent

    sent = Event.model_validate(event.model_dump(mode="json"))
    return ReceivedEvent.model_validate(sent.receive().model_dump())


def test_triggers_of_the_examples_match_the_events_that_they_are_for(subject):
    from prefect.events import RelatedResource

    deployments = yaml.safe_load((EXAMPLES / "prefect.yaml").read_text())["deployments"]
    triggers = {one["name"]: one["triggers"][0] for one in deployments}
    triggers["notify"] = yaml.safe_load((EXAMPLES / "notify.yaml").read_text())["trigger"]
    flow = {"prefect.resource.role": "flow", "prefect.resource.name": "train"}
    matched = {name: set() for name in triggers}
    for event in examples(subject).values():
        # `emit` adds the flow of the run, which a watch does not have.
        if event.event != "onepass.lake.landed":
            event.related.append(RelatedResource(flow | {"prefect.resource.id": "prefect.flow.1"}))
        for name, trigger in triggers.items():
            wanted = server_trigger(trigger)
            if wanted.covers(received(event)) and wanted.expects(event.event):
                matched[name].add(event.event)
    assert matched == {
        "on-landing": {"onepass.lake.landed"},
        "on-update": {"onepass.model.updated"},
        "notify": {"onepass.model.refused", "onepass.model.quarantined"},
    }


def events_of(prefix, at_least, mine):
    """Those of the events with a prefix that `mine` keeps, newest first."""
    from prefect.client.orchestration import get_client

    wanted = {"filter": {"event": {"prefix": prefix}, "order": "DESC"}, "limit": 50}
    with get_client(sync_client=True) as client:
        for _ in range(300):
            found = mine(client._client.post("/events/filter", json=wanted).json()["events"])
            if len(found) >= at_least:
                break
            time.sleep(0.1)
    return found


@pytest.mark.usefixtures("prefect_server", "patient")
def test_a_run_announces_its_rounds_the_version_and_the_asset(make_lake, tmp_path):
    from onepass import Job
    from prefect_onepass.train import train

    lake, model = str(make_lake(3)), str(tmp_path / "model of events")
    outcome = train(Job(lake=lake, label="y", model=model))

    def mine(found):
        return [one for one in found if "~20of~20events" in json.dumps(one)]

    def all_rounds(found):
        rows = sum(one["payload"]["rows"] for one in mine(found))
        return mine(found) if rows == outcome["rows"] else []

    assert events_of(["onepass.partition.trained"], 1, all_rounds)
    (updated,) = events_of(["onepass.model.updated"], 1, mine)
    assert updated["payload"]["version"] == outcome["version"]
    assert updated["payload"]["state_sha256"] == outcome["state_sha256"]
    assert updated["resource"]["onepass.model.path"] == model
    roles = {one["prefect.resource.role"]: one for one in updated["related"]}
    assert roles["lake"]["prefect.resource.id"] == f"onepass.lake.file://{lake}"
    assert roles["flow"]["prefect.resource.name"] == "train"
    assert roles["flow-run"]["prefect.resource.id"].startswith("prefect.flow-run.")
    (made,) = events_of(["prefect.asset.materialization.succeeded"], 1, mine)
    assert made["resource"]["prefect.resource.id"].endswith("/model~20of~20events")
    assert made["payload"]["state_sha256"] == outcome["state_sha256"]
    assert {"prefect.resource.id": f"file://{lake}", "prefect.resource.role": "asset"} in made[
        "related"
    ]

    # A quiet run announces nothing.
    train(Job(lake=lake, label="y", model=model))
    assert len(events_of(["onepass.model.updated"], 1, mine)) == 1


@pytest.mark.usefixtures("prefect_server", "patient")
def test_a_refused_version_and_quarantined_files_are_announced(make_lake, tmp_path):
    import pyarrow.parquet as pq

    from lakes import number_table
    from onepass import Job
    from onepass.errors import VersionRefused
    from prefect_onepass.train import train

    lake, model = make_lake(3), str(tmp_path / "refused model")
    holdout = str(make_lake(1, name="holdout"))
    job = Job(
        lake=str(lake),
        label="y",
        model=model,
        holdout=holdout,
        max_loss_increase=0.05,
        on_bad="quarantine",
    )
    (lake / "part-9.parquet").write_text("no footer")
    first = train(job)
    poison = number_table(3000, seed=9)
    label = poison.schema.get_field_index("y")
    swapped = poison.set_column(label, "y", [[-50.0 * y.as_py() for y in poison["y"]]])
    pq.write_table(swapped, lake / "part-a.parquet")
    with pytest.raises(VersionRefused):
        train(job)

    def mine(found):
        return [one for one in found if "refused~20model" in json.dumps(one)]

    (refused,) = events_of(["onepass.model.refused"], 1, mine)
    payload = refused["payload"]
    assert payload["by"] == "holdout"
    assert payload["current"] <= first["version"] < payload["version"]
    assert payload["loss"] > payload["limit"] > payload["current_loss"]
    (failed,) = events_of(["prefect.asset.materialization.failed"], 1, mine)
    assert failed["resource"]["prefect.resource.id"].endswith("/refused~20model")
    (quarantined,) = events_of(["onepass.model.quarantined"], 1, mine)
    assert [one["file"] for one in quarantined["payload"]["files"]] == ["part-9.parquet"]
    # The refused version was not announced as an update.
    (updated,) = events_of(["onepass.model.updated"], 1, mine)
    assert updated["payload"]["version"] == payload["current"]
    assert updated["payload"]["state_sha256"] == first["state_sha256"]
    assert updated["payload"]["holdout_loss"] == first["holdout"]["loss"]
    assert updated["payload"]["tags"] == ["current"]


def test_the_script_creates_its_automation_once_and_keeps_the_url_in_a_block(
    automations_of_one_test,
):
    import runpy

    from prefect.blocks.webhook import Webhook
    from prefect.client.orchestration import get_client

    script = runpy.run_path(str(EXAMPLES / "notify.py"))
    for url in ("http://127.0.0.1:9/old", "http://127.0.0.1:9/new"):
        script["main"](url)
    with get_client(sync_client=True) as client:
        (automation,) = client.read_automations_by_name("onepass needs a look")
    (action,) = automation.actions
    block = Webhook.load(script["BLOCK"])
    assert action.block_document_id == block._block_document_id
    assert block.url.get_secret_value().endswith("/new")
