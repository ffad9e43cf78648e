"""Records of evaluations: sorted, bounded, and left out with a warning where they are damaged."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from onepass.ledger.store import LocalStore, open_store
from onepass.model import evaluations
from onepass.model.evaluations import Evaluation, digest_of, find, record, recorded, shown_lake
from onepass.partition import Fingerprint


def evaluation(version: int, **fields: Any) -> Evaluation:
    values: dict[str, Any] = {
        "version": version,
        "state_sha256": "a" * 64,
        "lake": "/holdout",
        "files_sha256": "b" * 64,
        "files": 2,
        "rows": 500,
        "loss": 0.25,
        "metrics": {"rmse": 0.5, "r2": None},
        "tables": {"calibration": [{"low": 0.0, "class": "a", "mean": None}]},
        "counts": {"null_label": 3},
        "seconds": 1.5,
    }
    return Evaluation(**values | fields)


def test_records_are_read_as_they_were_written_by_version_and_time(place):
    store = open_store(place.root)
    assert recorded(store) == []
    keys = [record(store, evaluation(version, rows=i)) for i, version in enumerate((7, 3, 7, 12))]
    assert len(set(keys)) == 4
    found = recorded(store)
    assert [(one.version, one.rows) for one in found] == [(3, 1), (7, 0), (7, 2), (12, 3)]
    assert all(one.time.startswith("20") for one in found)
    assert found[0].model_copy(update={"time": ""}) == evaluation(3, rows=1)
    assert [one.rows for one in recorded(store, 7)] == [0, 2]


def test_record_is_found_by_state_and_files(place):
    store = open_store(place.root)
    record(store, evaluation(7, rows=1))
    key = record(store, evaluation(7, rows=2))
    record(store, evaluation(7, state_sha256="c" * 64))
    record(store, evaluation(7, files_sha256="d" * 64))
    assert find(store, 7, "a" * 64, "b" * 64)[0] == key
    assert find(store, 7, "c" * 64, "d" * 64) is None
    assert find(store, 8, "a" * 64, "b" * 64) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b'"rows":500', b'"rows":501'),
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"[" * 100_000,
        lambda data: b"\0" * (evaluations.MAX_BYTES + 1),
    ],
    ids=["altered", "torn", "empty", "nested", "huge"],
)
def test_damaged_record_is_left_out_with_a_warning(tmp_path, caplog, damage):
    store = LocalStore(tmp_path)
    first, second = record(store, evaluation(1)), record(store, evaluation(2))
    path = tmp_path / first
    path.write_bytes(damage(path.read_bytes()))
    (tmp_path / "evaluations" / "notes.txt").write_text("not a record")
    assert [one.version for one in recorded(store)] == [2]
    [told] = caplog.messages
    assert told.startswith(f"an evaluation is left out: {first}")
    assert find(store, 2, "a" * 64, "b" * 64)[0] == second


def test_record_of_another_version_by_its_name_is_left_out(tmp_path, caplog):
    store = LocalStore(tmp_path)
    path = tmp_path / record(store, evaluation(1))
    path.rename(path.with_name(path.name.replace("00000001", "00000009")))
    assert recorded(store) == []
    assert "it is of version 1" in caplog.text


def test_no_more_is_read_than_fits(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    for version in range(1, 7):
        record(store, evaluation(version))
    monkeypatch.setattr(evaluations, "MAX_RECORDS", 4)
    assert [one.version for one in recorded(store)] == [3, 4, 5, 6]
    size = (tmp_path / "evaluations").stat().st_size
    size = max(path.stat().st_size for path in (tmp_path / "evaluations").iterdir())
    monkeypatch.setattr(evaluations, "MAX_TOTAL_BYTES", 2 * size)
    assert [one.version for one in recorded(store)] == [5, 6]


def test_evaluation_that_cannot_be_recorded_is_no_error(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)

    def full(self: LocalStore, key: str, data: bytes) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalStore, "create", full)
    assert record(LocalStore(tmp_path), evaluation(1)) is None
    assert "is not recorded" in caplog.text
    assert "No space left on device" in caplog.text


def test_digest_tells_files_by_name_and_content_in_any_order():
    one, other = Fingerprint(10, "x", 5, 1), Fingerprint(10, "y", 5, 1)
    files = [("a.parquet", one), ("b.parquet", other)]
    assert digest_of(files) == digest_of(files[::-1])
    changed = [
        [("a.parquet", other), ("b.parquet", one)],
        [("a.parquet", one)],
        [("a.parquet", one), ("c.parquet", other)],
    ]
    assert len({digest_of(files), *map(digest_of, changed)}) == 4


def test_long_list_of_files_is_named_by_its_first():
    assert shown_lake("/lake") == "/lake"
    assert shown_lake(["/a.parquet", "/b.parquet", "/c.parquet"]) == "/a.parquet and 2 more"
    assert len(shown_lake("x" * 5000)) == 1000
