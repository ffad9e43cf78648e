"""A lake, a model and predictions in an object store are as good as local ones."""

from __future__ import annotations

import io
import logging
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import Model, evaluate, score, verify
from onepass.actions.manifest import MANIFEST
from onepass.cloud.connect import connect, forget
from onepass.cloud.url import parse_url
from onepass.errors import (
    BadPartition,
    ChangedPartition,
    JobError,
    StoreRefused,
    StoreUnavailable,
)
from onepass.model.directory import open_model
from places import check_sound
from s3 import KEY_ID, SECRET, Action, Proxy, Server, keys, put_table
from small import plan, train


@pytest.fixture
def lake(s3_lake: str) -> str:
    return s3_lake


@pytest.fixture
def job(lake, bucket) -> dict[str, Any]:
    return {"lake": lake, "label": "y", "model": f"{bucket}/models/m", "solver": "sgd"}


@pytest.fixture
def local_job(job, tmp_path) -> dict[str, Any]:
    """The same on the local disk."""
    return job | {"lake": str(tmp_path / "lake"), "model": str(tmp_path / "model")}


def test_training_there_gives_the_bytes_of_training_here(job, local_job):
    remote, local = train(job), train(local_job)
    assert remote.state_sha256 == local.state_sha256
    assert (remote.rows, remote.model) == (local.rows, job["model"])
    check_sound(job["model"], Path(local_job["lake"]), local.state_sha256)
    mixed = train(job | {"lake": local_job["lake"], "model": job["model"] + "-mixed"})
    assert mixed.state_sha256 == local.state_sha256


def test_next_run_trains_what_is_new(job, lake):
    train(job)
    put_table(f"{lake}/part-4.parquet", number_table(300, 9))
    report = train({"model": job["model"]})
    assert (report.partitions, report.rows) == (1, 300)
    assert train({"model": job["model"]}).partitions == 0


def test_scores_and_metrics_there_are_those_here(job, local_job, bucket, tmp_path):
    train(job)
    train(local_job)
    there = score(job["lake"], job["model"], f"{bucket}/out", keep=["level"])
    score(local_job["lake"], local_job["model"], tmp_path / "out", keep=["level"])
    assert (there.partitions, there.unchanged) == (4, 0)
    for path in sorted((tmp_path / "out").glob("*.parquet")):
        data = connect(parse_url(bucket)).get(f"out/{path.name}").bytes().to_bytes()
        assert pq.read_table(pa.BufferReader(data)).equals(pq.read_table(path))
    again = score(job["lake"], job["model"], f"{bucket}/out", keep=["level"])
    assert (again.partitions, again.unchanged) == (0, 4)
    judged = [evaluate(one["lake"], one["model"]) for one in (job, local_job)]
    assert judged[0].loss == judged[1].loss
    rows = number_table(50, 3)
    here = [Model.load(one["model"]).predict(rows) for one in (job, local_job)]
    assert np.array_equal(here[0], here[1])


def test_predictions_may_not_fall_into_their_lake_or_model(job, lake):
    train(job)
    for out in (lake, f"{lake}/", f"{lake}/deeper"):
        with pytest.raises(JobError, match="lies in the lake"):
            score(lake, job["model"], out)
    for out in (job["model"], f"{job['model']}/", f"{job['model']}/deeper"):
        with pytest.raises(JobError, match="lies in the model directory"):
            score(lake, job["model"], out)
    assert score(lake, job["model"], f"{lake}-scores").partitions == 4


def test_any_key_that_a_store_allows_is_trained_and_scored(bucket, tmp_path):
    names = ["signature=1/p.parquet", "x-amz-log/p.parquet", "a?b.parquet", "a%20b.parquet"]
    names += ["x-amz-signature=1/p.parquet", "a#b&sig=1.parquet", "a:b@c.parquet"]
    for i, name in enumerate(names):
        sink = pa.BufferOutputStream()
        pq.write_table(number_table(200, seed=i), sink)
        connect(parse_url(bucket)).put(f"lake/{name}", sink.getvalue().to_pybytes())
    job = {"lake": f"{bucket}/lake", "label": "y", "model": f"{bucket}/m", "solver": "sgd"}
    assert train(job).partitions == len(names)
    assert train(job).partitions == 0
    for out in (f"{bucket}/out", str(tmp_path / "out")):
        assert score(job["lake"], job["model"], out).partitions == len(names)
        assert score(job["lake"], job["model"], out).unchanged == len(names)
    assert {key.removeprefix("out/") for key in keys(f"{bucket}/out")} == {*names, MANIFEST}
    found = {str(path.relative_to(tmp_path / "out")) for path in tmp_path.rglob("*.parquet")}
    assert found == set(names)


def test_lost_answers_of_a_whole_training_change_nothing(job, local_job, s3_server, through):
    expected = train(local_job)
    count = 0

    def rule(method: str, path: str) -> Action:
        nonlocal count
        count += 1
        return {0: "cut", 4: 500, 8: "lose"}.get(count % 12, "pass")  # type: ignore[return-value]

    with Proxy(s3_server.url, rule) as proxy:
        through(proxy)
        assert train(job).state_sha256 == expected.state_sha256
        check_sound(job["model"], Path(local_job["lake"]), expected.state_sha256)
        assert sum(action != "pass" for _, _, action in proxy.seen) > 15


def test_changed_object_is_noticed_before_a_row_of_it_is_trained(job, lake):
    train(job)
    put_table(f"{lake}/part-1.parquet", number_table(437, 77))
    with pytest.raises(ChangedPartition, match=r"part-1.parquet has changed since it was trained"):
        train({"model": job["model"]})
    assert train({"model": job["model"], "on_changed": "retrain"}).partitions == 1


def test_object_removed_after_it_was_planned_is_named(job, lake):
    plan(job)
    connect(parse_url(lake)).delete("lakes/numbers/part-2.parquet")
    with pytest.raises(BadPartition, match=r"part-2.parquet: planned, but no longer in the lake"):
        train(job)


def test_object_that_is_not_parquet_is_bad_data_and_can_be_skipped(job, lake):
    connect(parse_url(lake)).put("lakes/numbers/part-9.parquet", b"no rows at all" * 9)
    with pytest.raises(BadPartition, match=r"part-9.parquet: expected a Parquet file"):
        train(job)
    report = train(job | {"on_bad": "skip"})
    assert (report.partitions, report.pending) == (4, 0)


def test_store_that_goes_away_makes_no_file_a_bad_one(job, s3_server, through, monkeypatch):
    """Otherwise `on_bad: skip` would leave out for good what could not be reached for a while."""
    plan(job)
    version = open_model(job["model"]).ledger.version
    with Proxy(s3_server.url) as proxy:
        through(proxy)
        monkeypatch.setenv("ONEPASS_STORE_DEADLINE", "1")
        monkeypatch.setenv("ONEPASS_STORE_TIMEOUT", "0.5")
        forget()
        proxy.rule = lambda method, path: "lose" if path.endswith("part-2.parquet") else "pass"
        with pytest.raises(StoreUnavailable, match=r"part-2.parquet: no success within 1 s"):
            train(job | {"on_bad": "skip", "on_changed": "skip"})
        proxy.rule = lambda method, path: "pass"
        ledger = open_model(job["model"]).ledger
        assert all(entry.action != "skip" for entry in ledger.entries)
        assert ledger.version >= version
        assert train(job).pending == 0


@pytest.mark.parametrize("asked", [{}, {"check_lake": False, "retrain": True}])
@pytest.mark.parametrize("only", ["/lakes/numbers/part-", "list-type"])
def test_store_that_goes_away_while_verifying_is_no_change_of_the_lake(
    job, local_job, s3_server, through, monkeypatch, only, asked
):
    train(local_job | {"lake": job["lake"]})
    monkeypatch.setenv("ONEPASS_STORE_DEADLINE", "1")
    with Proxy(s3_server.url) as proxy:
        through(proxy)
        for status, error in ((503, StoreUnavailable), (403, StoreRefused)):
            proxy.rule = lambda method, path, status=status: status if only in path else "pass"
            began = time.monotonic()
            with pytest.raises(error, match=rf"lakes/numbers.*\({status} Injected"):
                verify(local_job["model"], **asked)
            assert time.monotonic() - began < 5
        assert verify(local_job["model"], check_lake=False).sound


def test_lake_that_has_moved_between_disk_and_store_is_the_same_lake(job, local_job):
    train(job)
    assert verify(job["model"], lake=local_job["lake"]).sound
    train(local_job)
    assert verify(local_job["model"], lake=job["lake"]).sound


def test_changed_etag_is_shown_where_nothing_else_has_changed(job, local_job, lake):
    train(job)
    (first, *_) = open_model(job["model"]).ledger.history.trained()
    path, before = first.partitions[0].path, first.partitions[0].fingerprint.etag
    connect(parse_url(lake)).put(
        f"lakes/numbers/{path}",
        io.BytesIO(Path(f"{local_job['lake']}/{path}").read_bytes()),
        use_multipart=True,
    )
    after = connect(parse_url(lake)).head(f"lakes/numbers/{path}")["e_tag"]
    assert after != before
    words = f"etag {before} then; .* etag {after} now"
    assert re.search(words, verify(job["model"]).findings[0].text)
    with pytest.raises(ChangedPartition, match=f"etag {before}; now .* etag {after}"):
        train({"model": job["model"]})


def test_slow_store_is_read_within_its_time(job, local_job, s3_server, through, monkeypatch):
    expected = train(local_job)
    with Proxy(s3_server.url, delay=0.03) as proxy:
        through(proxy)
        assert train(job).state_sha256 == expected.state_sha256


def test_credentials_are_in_nothing_that_was_written(
    job, bucket, onepass, tmp_path, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    out, written = f"{bucket}/out", ""
    for arguments in (
        ["train", job["lake"], "--label", "y", "--model", job["model"], "--json"],
        ["train", "--model", job["model"], "--json"],
        ["evaluate", job["lake"], "--model", job["model"], "--json"],
        ["score", job["lake"], "--model", job["model"], "--out", out, "--json"],
        ["log", job["model"], "--json"],
        ["summary", job["model"], "--json"],
        ["inspect", job["lake"], "--json"],
    ):
        code, stdout, stderr = onepass(*arguments)
        assert code == 0, stderr
        written += stdout + stderr
    for wrong in (f"{bucket}-not/x", f"{bucket}/nothing"):
        code, stdout, stderr = onepass("--debug", "train", wrong, "--label", "y", "--model", "m")
        assert code == 2
        written += stdout + stderr
    written += repr(open_model(job["model"]).file) + caplog.text
    everything = written.encode()
    for key in keys(bucket):
        everything += connect(parse_url(bucket)).get(key).bytes().to_bytes()
    for path in tmp_path.rglob("*"):
        everything += path.read_bytes() if path.is_file() else b""
    assert len(everything) > 50_000
    assert b"models/m" in everything
    for secret in (KEY_ID, SECRET, SECRET.replace("/", "%2F"), "Signature=", "Authorization"):
        assert secret.encode() not in everything


def test_command_tells_of_wrong_credentials_in_two_lines(job, onepass, monkeypatch):
    server = Server(INITIAL_NO_AUTH_ACTION_COUNT="1")
    try:
        server.make_bucket("closed")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        forget()
        code, out, err = onepass(
            "train", "s3://closed/x", "--label", "y", "--model", "s3://closed/m"
        )
    finally:
        server.stop()
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first == "onepass: s3://closed/m/model.json: the store refuses the request (403)"
    assert second.startswith("Check the credentials")
