"""A run of several labels: one reading, the models of the library, and what is shown of each."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import train
from onepass.errors import BadPartition, JobError, VersionRefused
from onepass.ledger.store import LocalStore, open_store
from onepass.model.directory import open_model
from prefect_artifacts import artifacts
from processes import run as run_process
from several import LABELS, count_rows_read, fill_disk, history, rows, write_lake

# Prefect and its dependencies warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server", "patient"),
]


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    lake = write_lake(tmp_path / "lake", 4)
    job = {"lake": str(lake), "label": LABELS, "model": str(tmp_path / "models"), "parallel": 1}
    # A task that ends while loops are compiled drops what was read ahead.
    return job | {"group_seconds": 3600.0}


@pytest.fixture
def n_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of rows of the blocks that have been read."""
    return count_rows_read(monkeypatch)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The events of onepass that runs have sent."""
    from prefect_onepass import sending

    found: list[Any] = []
    monkeypatch.setattr(sending, "post", found.append)
    return found


def run(job: dict[str, Any], **options: Any) -> Any:
    """Run the flow; return its state."""
    from prefect_onepass.train import train as train_flow

    return train_flow(job, return_state=True, **options)


def by_label(state: Any) -> dict[str, Any]:
    return {one["label"]: one for one in state.result()["models"]}


def artifacts_of(job: dict[str, Any], kind: str, label: str) -> list[Any]:
    """Return the artifacts of a label's model, the oldest first."""
    id_ = open_model(f"{job['model']}/{label}").file.id[:8]
    return artifacts(f"onepass-{kind}-{label}-{id_}")


def of_all_labels(job: dict[str, Any]) -> list[Any]:
    """Return the reports of the runs as a whole, the oldest first."""
    id_ = open_model(f"{job['model']}/{LABELS[0]}").file.id[:8]
    return artifacts(f"onepass-labels-models-{id_}")


def land(job: dict[str, Any], name: str, table: pa.Table) -> None:
    pq.write_table(table, Path(job["lake"]) / f"{name}.parquet", row_group_size=300)


def with_bad_amount(seed: int = 11) -> pa.Table:
    """Rows of which one label alone has a value that it cannot have."""
    table = rows(400, seed)
    amounts = table.column("amount").to_pylist()
    amounts[250] = float("inf")
    return table.set_column(table.schema.get_field_index("amount"), "amount", pa.array(amounts))


def check_models(job: dict[str, Any], whole: Path, labels: list[str] = LABELS) -> None:
    """Check that the models are those that the library trains from the same lake."""
    train(job | {"model": str(whole)})
    for label in labels:
        assert history(Path(job["model"]) / label) == history(whole / label)


@pytest.mark.parametrize("labels", [LABELS, "paid, churned,amount"], ids=["list", "text"])
def test_models_are_those_of_the_library_and_rows_are_read_once(job, tmp_path, n_read, labels):
    job |= {"label": labels, "loss": {"amount": "gamma"}}
    state = run(job)
    assert (state.name, state.message) == (
        "Completed",
        "Trained 4 partitions: paid version 5, churned version 5, amount version 5",
    )
    of_flow = sum(n_read)
    n_read.clear()
    check_models(job, tmp_path / "whole")
    assert of_flow == sum(n_read) == 1630
    result = state.result()
    assert result["model"] == job["model"]
    assert [one["label"] for one in result["models"]] == LABELS
    for label, one in by_label(state).items():
        assert one["model"] == f"{job['model']}/{label}"
        newest = history(one["model"])[-1]
        assert one["state_sha256"] == newest["sha256"]


def test_tasks_that_train_a_part_each_end_in_the_same_bytes(job, tmp_path):
    job["group_seconds"] = 1e-6
    for one in by_label(run(job)).values():
        assert [group["partitions"] for group in one["groups"]] == [1, 1, 1, 1]
    check_models(job, tmp_path / "whole")


def test_folder_of_several_models_goes_on_with_all_of_them(job, n_read):
    run(job)
    n_read.clear()
    land(job, "late", rows(500, 9))
    state = run({"model": job["model"]})
    assert state.message == (
        "Trained 1 partition: paid version 7, churned version 7, amount version 7"
    )
    assert sum(n_read) == 500
    quiet = run({"model": job["model"]})
    assert quiet.name == "NothingNew"
    assert re.fullmatch(
        r"nothing new since [-\d]+ [:\d]+ UTC: paid version 7, churned version 7, amount version 7",
        quiet.message,
    )
    assert quiet.result()["report"] is None


def test_labels_of_which_different_things_are_true_stand_apart(job):
    run(job)
    land(job, "late", rows(500, 9))
    train({"model": f"{job['model']}/churned"})
    state = run({"model": job["model"]})
    assert state.name == "Completed"
    assert re.fullmatch(
        r"Trained 1 partition: paid version 7, amount version 7\. "
        r"Nothing new since [-\d]+ [:\d]+ UTC: churned version 7",
        state.message,
    )


def test_each_label_has_the_artifacts_that_it_has_alone(job, tmp_path):
    holdout = write_lake(tmp_path / "holdout", 1)
    state = run(job | {"holdout": str(holdout)}, report=str(tmp_path / "page.html"))
    for label, one in by_label(state).items():
        (report,) = artifacts_of(job, "report", label)
        assert report.data == one["report"]
        assert f"/{label}: version 5" in report.data
        assert "holdout (never learnt)" in report.data
        (table,) = artifacts_of(job, "groups", label)
        assert [line["version"] for line in json.loads(table.data)] == ["2", "3", "4", "5"]
        (ring,) = artifacts_of(job, "progress", label)
        assert ring.data == 100.0
        assert (tmp_path / f"page-{label}.html").exists()
    (whole,) = of_all_labels(job)
    assert whole.data == state.result()["report"]
    assert whole.description == "paid version 5, churned version 5, amount version 5"
    cells = [line.strip("| ").split(" | ") for line in whole.data.splitlines()]
    table = {line[0]: line[1:] for line in cells if line[0] in LABELS}
    assert {label: (*line[:3], line[-1]) for label, line in table.items()} == dict.fromkeys(
        LABELS, ("5", "4", "1,630", "version 5")
    )


def test_events_are_about_each_model(job, events):
    run(job)
    found = [(one.event, one.resource["onepass.model.path"]) for one in events]
    for label in LABELS:
        path = f"{job['model']}/{label}"
        assert found.count(("onepass.model.updated", path)) == 1
        assert ("onepass.partition.trained", path) in found
    learnt = [one.payload["rows"] for one in events if one.event == "onepass.partition.trained"]
    assert sum(learnt) == 3 * 1630


def test_error_of_one_label_fails_the_run_and_the_others_are_trained_and_published(job, events):
    run(job)
    events.clear()
    land(job, "part-06", with_bad_amount())
    land(job, "part-07", rows(400, 7))
    state = run({"model": job["model"]})
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    first, *_, last = state.message.splitlines()
    assert first.startswith("amount: part-06.parquet, ")
    assert last == "Trained 2 partitions: paid version 8, churned version 8"
    with pytest.raises(BadPartition, match="part-06"):
        state.result()
    updated = [one.resource["onepass.model.path"] for one in events if "updated" in one.event]
    assert updated == [f"{job['model']}/paid", f"{job['model']}/churned"]
    # A ring that stands still would look like a run that goes on.
    assert [ring.data for ring in artifacts_of(job, "progress", "amount")] == [100.0]
    assert [ring.data for ring in artifacts_of(job, "progress", "paid")] == [100.0, 100.0]
    *_, whole = of_all_labels(job)
    assert "**Warning:** amount: training has stopped: part-06.parquet" in whole.data
    assert not re.search(r"^\| amount", whole.data, re.MULTILINE)

    os.unlink(Path(job["lake"]) / "part-06.parquet")
    land(job, "part-06", rows(400, 6))
    again = run({"model": job["model"], "on_changed": "retrain"})
    assert "amount version" in again.message


def test_error_of_all_labels_is_told_once(job):
    run(job)
    Path(job["lake"], "bad.parquet").write_text("no parquet")
    state = run({"model": job["model"]})
    assert state.message == (
        "bad.parquet: expected a Parquet file, found 10 bytes\n"
        "Repair or remove the file, or go on without it: on_bad: skip."
    )


def test_file_in_quarantine_of_one_label_is_told_as_such(job, tmp_path, events):
    run(job)
    land(job, "part-06", with_bad_amount())
    state = run({"model": job["model"], "on_bad": "quarantine"})
    assert (state.type.value, state.name) == ("COMPLETED", "Quarantined")
    first, second = state.message.splitlines()
    assert first == (
        "Trained 1 partition: paid version 7, churned version 7. Trained 0 partitions: amount "
        "version 7; 1 file in quarantine until replaced:"
    )
    assert second.startswith("  amount: part-06.parquet")
    quarantined = [one for one in events if one.event == "onepass.model.quarantined"]
    assert [one.resource["onepass.model.path"] for one in quarantined] == [f"{job['model']}/amount"]

    Path(job["lake"], "part-07.parquet").write_bytes(b"no parquet at all")
    state = run({"model": job["model"], "on_bad": "quarantine"})
    assert "\n  part-07.parquet: expected" in state.message


def test_version_of_one_label_is_refused_and_the_others_are_published(job, tmp_path, events):
    holdout = write_lake(tmp_path / "holdout", 2)
    run(job | {"holdout": str(holdout)})
    events.clear()
    table = rows(4000, 12)
    noise = pa.array(table.column("paid").to_numpy()[::-1])
    land(job, "late", table.set_column(table.schema.get_field_index("paid"), "paid", noise))
    state = run({"model": job["model"], "max_loss_increase": 0.2})
    assert (state.type.value, state.name) == ("FAILED", "Refused")
    lines = state.message.splitlines()
    assert lines[0].startswith("paid: version 7 ")
    assert lines[-1] == "Trained 1 partition: churned version 7, amount version 7"
    described = of_all_labels(job)[-1].description
    assert described == "paid version 7 refused, churned version 7, amount version 7"
    with pytest.raises(VersionRefused):
        state.result()
    named = sorted((one.event, one.resource["prefect.resource.name"]) for one in events)
    assert [one for one in named if "partition" not in one[0]] == [
        ("onepass.model.refused", "paid"),
        ("onepass.model.updated", "amount"),
        ("onepass.model.updated", "churned"),
    ]
    quiet = run({"model": job["model"], "max_loss_increase": 0.2})
    assert quiet.name == "NothingNew"
    assert quiet.message.endswith(" UTC: churned version 7, amount version 7")
    assert re.search(r": paid version 7; predictions use version 5 \(", quiet.message)


def test_run_leaves_all_models_to_a_run_that_holds_one_of_them(job):
    run(job)
    land(job, "late", rows(500, 9))
    with open_store(f"{job['model']}/churned").exclusive():
        state = run({"model": job["model"]})
    assert (state.type.value, state.name) == ("COMPLETED", "AnotherRunIsTraining")
    assert f"process {os.getpid()} is training the model in" in state.message
    assert "/churned'; this run did nothing" in state.message
    assert {len(history(f"{job['model']}/{label}")) for label in LABELS} == {5}
    result = state.result()
    assert [one["label"] for one in result["models"]] == LABELS
    for one in result["models"]:
        assert (one["model"], one["partitions"]) == (f"{job['model']}/{one['label']}", 0)
        assert "/churned'" in one["message"]
    assert (result["model"], result["report"]) == (job["model"], state.message)


def test_writer_who_is_first_in_one_model_stops_that_model_alone(job, monkeypatch):
    job["group_seconds"] = 1e-6
    real = LocalStore.create

    def beaten(self: LocalStore, key: str, data: bytes) -> bool:
        # As on an object store, where no lock keeps two runs apart.
        if key.endswith("4.json") and str(self.root).endswith("churned"):
            real(self, key, b"entry of another writer")
        return real(self, key, data)

    monkeypatch.setattr(LocalStore, "create", beaten)
    state = run(job)
    assert (state.type.value, state.name) == ("COMPLETED", "AnotherRunIsTraining")
    first, second = state.message.splitlines()
    assert "another run trains the model in" in first
    assert "2 partitions of this run were committed before and count" in first
    assert second == "Trained 4 partitions: paid version 5, amount version 5"
    assert by_label(state)["churned"]["partitions"] == 2
    assert by_label(state)["paid"]["partitions"] == 4


@pytest.mark.parametrize("label", ["paid", "amount"])
def test_retry_goes_on_from_the_last_commits_in_the_same_sessions(
    job, tmp_path, monkeypatch, label
):
    from onepass.training import several
    from prefect_onepass.steps import RETRIES

    monkeypatch.setitem(RETRIES, "retry_delay_seconds", 0)
    opened = []
    session = several.open_session
    monkeypatch.setattr(
        several, "open_session", lambda *a, **b: opened.append(a) or session(*a, **b)
    )
    with monkeypatch.context() as patch:
        fill_disk(patch, label)
        state = run(job)
    assert (state.name, len(opened)) == ("Completed", 3)
    assert {one["rows"] for one in by_label(state).values()} == {1630}
    check_models(job, tmp_path / "whole")


@pytest.mark.parametrize("call", [20, 29, 35])
def test_run_goes_on_where_a_run_was_killed_between_the_commits_of_two_models(job, tmp_path, call):
    (killed,) = run_process(
        {"do": "train_several_or_die", "job": job, "die_at": "commit", "call": call}
    )
    assert killed.code == -signal.SIGKILL
    state = run(job)
    assert state.name == "Completed"
    for label in LABELS:
        trained = open_model(f"{job['model']}/{label}").ledger.history.trained()
        assert len(trained) == len({one.partitions[0].path for one in trained}) == 4
    whole = job | {"model": str(tmp_path / "whole")}
    run_process({"do": "train_several_or_die", "job": whole, "die_at": "commit", "call": 0})
    for label in LABELS:
        assert history(Path(job["model"]) / label) == history(tmp_path / "whole" / label)


def test_run_that_is_killed_loses_and_repeats_nothing(job, tmp_path):
    import yaml
    from prefect.settings import PREFECT_API_URL

    write_lake(Path(job["lake"]), 40)
    config = tmp_path / "job.yaml"
    config.write_text(yaml.safe_dump(job))
    command = [sys.executable, "-m", "prefect_onepass.train", "--config", str(config)]
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value())}
    seen = Path(job["model"]) / "amount" / "log" / f"{6:020d}.json"
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while not seen.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    before = {label: history(Path(job["model"]) / label) for label in LABELS}
    assert all(len(one) < 41 for one in before.values())
    assert run(job).name == "Completed"
    check_models(job, tmp_path / "whole")
    for label, entries in before.items():
        assert history(Path(job["model"]) / label)[: len(entries)] == entries


def test_labels_that_are_none_are_refused_before_anything_is_created(job):
    state = run(job | {"label": ["paid", "sold"]})
    assert state.is_failed()
    assert state.message.startswith("no column 'sold'")
    with pytest.raises(JobError):
        state.result()
    assert not Path(job["model"]).exists()


def test_what_is_kept_is_told_of_each_label(job, tmp_path):
    from prefect_onepass.hooks import kept

    run(job)
    told = kept(job["model"]).text
    parts = re.findall(r"(\w+): version 5 of [^;]* is kept, with 4 partitions and 1,630 rows", told)
    assert parts == LABELS
    assert kept(str(tmp_path / "none")).text == "no model was created yet"


def test_command_prints_the_report_of_all_labels(job, tmp_path):
    import yaml
    from click.testing import CliRunner

    from prefect_onepass.train import main

    config = tmp_path / "job.yaml"
    config.write_text(yaml.safe_dump(job | {"label": "paid,amount", "exclude": "churned"}))
    result = CliRunner().invoke(main, ["--config", str(config)])
    assert result.exit_code == 0, result.output
    assert f"# {tmp_path.name}/models: 2 labels" in result.stdout
    assert "Trained 2 models on 1,630 rows of 4 partitions" in result.stdout
    for label in ("paid", "amount"):
        assert f"Log: onepass log {job['model']}/{label}" in result.stdout
