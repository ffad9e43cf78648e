"""Automations from files: made once, brought up to date, and blind to no end of a run."""

from __future__ import annotations

from datetime import timedelta

import pytest
import yaml

from onepass.errors import JobError

pytestmark = pytest.mark.filterwarnings("default")

OTHER = {
    "name": "other",
    "trigger": {
        "type": "event",
        "posture": "Reactive",
        "expect": ["onepass.model.updated"],
        "threshold": 1,
    },
    "actions": [{"type": "do-nothing"}],
}


def names_and_ids():
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return sorted((one.name, one.id) for one in client.read_automations())


def test_a_second_time_changes_nothing_and_another_content_changes_the_one(
    automations_of_one_test, tmp_path
):
    from prefect.client.orchestration import get_client

    from prefect_onepass.automations import apply

    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump([OTHER]))
    told = apply([str(file)])["automations"]
    assert told == ["onepass-dead-runs", "onepass-runs-never-started", "other"]
    before = names_and_ids()
    apply([str(file)])
    assert names_and_ids() == before
    file.write_text(yaml.safe_dump(OTHER | {"description": "with more words"}))
    apply([str(file)])
    assert names_and_ids() == before
    with get_client(sync_client=True) as client:
        (found,) = client.read_automations_by_name("other")
    assert found.description == "with more words"


def test_a_run_that_ended_under_any_name_is_not_called_dead():
    from prefect_onepass.automations import DEAD_RUNS, read_automations
    from prefect_onepass.states import ANOTHER_RUN, NOTHING_NEW

    for automation in read_automations(DEAD_RUNS):
        for name in ("Completed", NOTHING_NEW, ANOTHER_RUN):
            event = f"prefect.flow-run.{name}"
            expected = automation.trigger.expect
            assert any(event.startswith(one.removesuffix("*")) for one in expected)


def test_a_run_is_given_three_heartbeats():
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

    from prefect_onepass.automations import DEAD_RUNS, read_automations

    dead, _ = read_automations(DEAD_RUNS)
    # A run whose heartbeats are late must not be called dead.
    assert dead.trigger.within >= timedelta(seconds=3 * PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value())


@pytest.mark.parametrize("text", ["name: x\n", "- 1\n", "[", "3\n"])
def test_a_file_of_something_else_is_named(tmp_path, text):
    from prefect_onepass.automations import read_automations

    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(JobError, match=str(file)):
        read_automations(file)
