"""A run with bad files trains the rest, says so by its state, and goes on when they are good."""

from __future__ import annotations

import pytest

from onepass import train

# Prefect and its dependencies warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]


def test_run_with_files_in_quarantine_says_so_until_they_are_replaced(make_lake, tmp_path):
    from prefect_onepass.train import train as train_flow

    lake = make_lake()
    bad = lake / "part-2.parquet"
    good = bad.read_bytes()
    bad.write_bytes(good[:900])
    job = {
        **{"lake": str(lake), "label": "y", "model": str(tmp_path / "model")},
        **{"on_bad": "quarantine", "holdout": "last: 2"},
    }
    state = train_flow(job, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Quarantined")
    assert state.message.startswith("Trained 3 partitions: version ")
    assert "1 file in quarantine until replaced:\n  part-2.parquet: expected a" in state.message
    outcome = state.result()
    assert outcome["trained"]["held_out"] == ["part-4.parquet", "part-5.parquet"]
    alone = train(job | {"model": str(tmp_path / "alone")})
    assert alone.holdout is not None
    assert outcome["holdout"]["loss"] == alone.holdout.loss

    quiet = train_flow({"model": job["model"]}, return_state=True)
    assert quiet.name == "NothingNew"
    assert ", 1 in quarantine, 2 held out: version" in quiet.message

    bad.write_bytes(good)
    last = train_flow({"model": job["model"]}, return_state=True)
    assert (last.name, last.result()["partitions"]) == ("Completed", 1)
