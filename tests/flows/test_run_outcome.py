"""The state of a run of several labels is the gravest one that a label would have alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from onepass.errors import BadPartition, ModelConflict, VersionRefused

pytestmark = pytest.mark.filterwarnings("default")

BAD = BadPartition("no footer", path="a.parquet")
REFUSED = VersionRefused("version 3 is worse", version=3, current=2)
CONFLICT = ModelConflict("another writer has committed version 3")


def trained(label: str, error: Exception | None = None, n: int = 2, **report: Any) -> Any:
    """Return the results for a label, as far as states look at them."""
    numbers = {"partitions": n, "skipped": 0, "quarantined": [], "version": 3, "left_out": 0}
    numbers |= {"in_quarantine": 0, "held_out": [], "pruned_files": 0}
    return SimpleNamespace(
        label=label,
        error=error,
        trained=SimpleNamespace(**numbers | report),
        is_quiet=not n,
        newest="2026-11-28T03:00:12",
        publication=None,
        as_dict=dict,
    )


def ended(models: list[Any], **stopped: Exception) -> Any:
    from prefect_onepass import states
    from prefect_onepass.run_outcome import RunOutcome, Stopped

    labels = [*(one.label for one in models), *stopped]
    rest = [Stopped(label, f"/m/{label}", 1, error) for label, error in stopped.items()]
    return states.ended(RunOutcome("/m", "0" * 32, labels, models, rest))


def test_gravest_state_of_a_label_is_that_of_the_run_and_the_others_are_told():
    quarantined = trained("q", quarantined=[SimpleNamespace(path="b", reason="b: no footer")])
    models = [trained("n", n=0), trained("c"), quarantined, trained("r", REFUSED)]
    state = ended([*models, trained("f", BAD)], w=CONFLICT)
    assert (state.type.value, state.name, state.data) == ("FAILED", "Failed", BAD)
    bad, advice, refused, conflict, rest = state.message.splitlines()
    assert bad.startswith("f: a.parquet: no footer")
    assert advice.startswith("Repair or remove")
    assert refused == "r: version 3 is worse"
    assert conflict.startswith("w: another run trains the model in '/m/w'")
    assert rest.startswith("Trained 2 partitions: c version 3, q version 3. Nothing new since")

    for stopped, kept, name in (
        ({"w": CONFLICT}, 4, "Refused"),
        ({"w": CONFLICT}, 3, "AnotherRunIsTraining"),
        ({}, 3, "Quarantined"),
        ({}, 2, "Completed"),
        ({}, 1, "NothingNew"),
    ):
        assert ended(models[:kept], **stopped).name == name


def test_label_is_left_out_where_a_run_has_one():
    assert ended([trained("c")]).message == "Trained 2 partitions: version 3"
    assert ended([], f=BAD).message.startswith("a.parquet: no footer")
    state = ended([], w=CONFLICT)
    assert state.message.startswith("another run trains the model in '/m/w'")
    assert state.data == {
        **{"model": "/m/w", "partitions": 1},
        **{"message": state.message, "report": state.message},
    }


def test_many_labels_are_counted_and_some_named():
    state = ended([trained(f"y{i}") for i in range(100)])
    assert state.message.startswith("Trained 2 partitions: y0 version 3, y1 version 3, ")
    assert state.message.endswith("y7 version 3, ... (100 in all)")
