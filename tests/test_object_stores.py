"""A lake, a model and predictions in an object store are as good as local ones."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import number_table
from processes import run
from s3 import KEY_ID, SECRET, Action, Proxy, Server

from pipeline import Model, evaluate, plan, score, train
from pipeline.cloud.connect import connect, credentials, forget
from pipeline.cloud.url import parse_url
from pipeline.errors import (
    BadPartition,
    ChangedPartition,
    EmptyLake,
    JobError,
    ModelConflict,
    ModelNotFound,
    StoreRefused,
    StoreUnavailable,
)
from pipeline.job import parse_job
from pipeline.lake.discover import discover
from pipeline.lake.partition import partitions, read_footer
from pipeline.lake.read import PartitionReader, units
from pipeline.ledger.store import RemoteStore, open_store
from pipeline.model import open_model
from pipeline.progress import Progress


@pytest.fixture
def upload(bucket) -> Callable[[Path, str], str]:
    """Copy a folder into the bucket; returns its URL."""

    def copy(folder: Path, name: str) -> str:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                connect(parse_url(bucket)).put(f"{name}/{path.relative_to(folder)}", path)
        return f"{bucket}/{name}"

    return copy


@pytest.fixture
def lake(upload, make_lake, small_blocks) -> str:
    """URL of a lake of four files, each of several blocks; `make_lake` has it as well."""
    return upload(make_lake(4), "lakes/numbers")


@pytest.fixture
def job(lake, bucket) -> dict[str, Any]:
    return {"lake": lake, "label": "y", "model": f"{bucket}/models/m", "solver": "sgd"}


@pytest.fixture
def local_job(job, tmp_path) -> dict[str, Any]:
    """The same on the local disk."""
    return job | {"lake": str(tmp_path / "lake"), "model": str(tmp_path / "model")}


@pytest.fixture
def through(s3_server, monkeypatch) -> Callable[[Proxy], None]:
    """Send everything through a proxy from now on."""

    def send(proxy: Proxy) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        forget()

    return send


def keys(url: str) -> list[str]:
    where = parse_url(url)
    return [meta["path"] for meta in connect(where).list(where.path or None).collect()]


def put_table(url: str, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=150)
    connect(parse_url(url)).put(parse_url(url).path, sink.getvalue().to_pybytes())


def check_sound(model: str, n_partitions: int, state_sha256: str | None) -> None:
    """Each partition once, the newest three states there and no other, nothing else left behind."""
    ledger = open_model(model).ledger
    trained = [entry.partitions[0]["path"] for entry in ledger.trained()]
    assert sorted(trained) == [f"part-{i}.parquet" for i in range(n_partitions)]
    assert ledger.trained()[-1].state.sha256 == state_sha256
    assert ledger.read_state(ledger.trained()[-1])
    kept = {entry.state.key for entry in ledger.trained()[-3:]}
    found = {key.split("/models/m/")[-1].removeprefix("models/m/") for key in keys(model)}
    assert {key for key in found if key.startswith("state/")} == kept
    assert {key.split("/")[0] for key in found} == {"model.json", "log", "state"}


def test_training_there_gives_the_bytes_of_training_here(job, local_job):
    remote, local = train(job), train(local_job)
    assert remote.state_sha256 == local.state_sha256
    assert (remote.rows, remote.model) == (local.rows, job["model"])
    check_sound(job["model"], 4, local.state_sha256)
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
    for path in sorted((tmp_path / "out").iterdir()):
        data = connect(parse_url(bucket)).get(f"out/{path.name}").bytes().to_bytes()
        assert pq.read_table(pa.BufferReader(data)).equals(pq.read_table(path))
    again = score(job["lake"], job["model"], f"{bucket}/out", keep=["level"])
    assert (again.partitions, again.unchanged) == (0, 4)
    judged = [evaluate(one["lake"], one["model"]) for one in (job, local_job)]
    assert judged[0].loss == judged[1].loss
    rows = number_table(50, 3)
    here = [Model.load(one["model"]).predict(rows) for one in (job, local_job)]
    assert np.array_equal(here[0], here[1])


def test_predictions_may_not_fall_into_their_lake(job, lake):
    train(job)
    for out in (lake, f"{lake}/", f"{lake}/deeper"):
        with pytest.raises(JobError, match="lies in the lake"):
            score(lake, job["model"], out)
    assert score(lake, job["model"], f"{lake}-scores").partitions == 4


def test_killed_at_any_moment_resumes_to_the_same_bytes(job, local_job):
    expected = train(local_job)
    common = {"do": "train_or_die", "job": job, "block_rows": 128}
    deaths = [("advanced", 2), ("committed", 1), ("advanced", 4), ("committed", 1)]
    outcomes = run(*(common | {"die_at": step, "call": n} for step, n in deaths), common)
    assert [outcome.code for outcome in outcomes] == [-signal.SIGKILL] * 4 + [0]
    assert outcomes[-1].value["state_sha256"] == expected.state_sha256
    ledger = open_model(job["model"]).ledger
    assert len(ledger.trained()) == 4
    assert all(ledger.read_state(entry) for entry in ledger.trained()[-3:])


def test_cut_off_after_any_write_of_a_run_resumes_to_the_same_bytes(
    job, local_job, s3_server, through, monkeypatch
):
    """The server does one write more than it can tell of; ``REPEAT`` above 1 tries every write."""
    expected = train(local_job)
    monkeypatch.setattr(RemoteStore, "_prove", lambda self: None)
    step = 1 if int(os.environ.get("REPEAT", "1")) > 1 else 3
    n_writes, n_dead = 0, 0
    while True:
        model = f"{job['model']}-{n_writes}"
        seen = 0

        def rule(method: str, path: str, alive: int = n_writes) -> Action:
            nonlocal seen
            seen += method in {"PUT", "POST"}
            return "pass" if seen <= alive else ("cut" if seen == alive + 1 else "lose")

        with Proxy(s3_server.url, rule) as proxy, pytest.MonkeyPatch.context() as patch:
            through(proxy)
            patch.setenv("ONEPASS_STORE_DEADLINE", "0.1")
            patch.setenv("ONEPASS_STORE_TIMEOUT", "0.5")
            forget()
            try:
                train(job | {"model": model})
            except StoreUnavailable:
                n_dead += 1
            finished = seen <= n_writes
        os.environ["AWS_ENDPOINT_URL"] = s3_server.url
        forget()
        report = train(job | {"model": model})
        assert report.state_sha256 == expected.state_sha256
        assert len(open_model(model).ledger.trained()) == 4
        if finished:
            break
        n_writes += step
    assert n_dead >= 9 // step


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
        check_sound(job["model"], 4, expected.state_sha256)
        assert sum(action != "pass" for _, _, action in proxy.seen) > 15


def test_of_two_trainings_at_once_one_finishes_and_one_stops(job, local_job):
    expected = train(local_job)
    plan(job)
    task = {"do": "train_or_die", "job": job, "sleep": 0.03, "block_rows": 128}
    outcomes = run(task, task, together=True)
    assert sorted(outcome.code for outcome in outcomes) == [0, 4]
    assert "another writer has committed version" in "".join(o.err for o in outcomes)
    check_sound(job["model"], 4, expected.state_sha256)


def test_stale_writer_is_refused(job):
    class Overtaken(Progress):
        done = False

        def committed(self, entry: Any, total: Any) -> None:
            if not self.done:
                self.done = True
                assert train(job).partitions == 3

    with pytest.raises(ModelConflict, match="another writer has committed version 3"):
        train(job, progress=Overtaken())
    assert len(open_model(job["model"]).ledger.trained()) == 4


def test_changed_object_is_noticed_before_a_row_of_it_is_trained(job, lake):
    train(job)
    put_table(f"{lake}/part-1.parquet", number_table(437, 77))
    with pytest.raises(ChangedPartition, match=r"part-1.parquet has changed since it was trained"):
        train({"model": job["model"]})
    assert train({"model": job["model"], "on_changed": "retrain"}).partitions == 1


def test_same_footer_and_another_etag_is_a_change(job, lake):
    """Two contents with equal sizes and statistics have the same footer; the store knows better."""
    values = np.arange(100, dtype=np.float64)
    one, other = values.copy(), values.copy()
    other[[3, 4]] = other[[4, 3]]
    for name, numbers in (("one", one), ("other", other)):
        table = pa.table({"a": numbers, "y": values})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="none", use_dictionary=False)
        connect(parse_url(lake)).put(f"twins/{name}/x.parquet", sink.getvalue().to_pybytes())
    root = parse_url(lake).root
    prints = [
        read_footer(discover(f"{root}/twins/{name}")[0]).fingerprint for name in ("one", "other")
    ]
    assert prints[0].footer_sha256 == prints[1].footer_sha256
    assert prints[0] != prints[1]
    assert prints[0].content != prints[1].content


def test_object_replaced_while_it_is_read_gives_no_row_of_the_other(lake):
    file = discover(f"{lake}/part-1.parquet")[0]
    footer = read_footer(file)
    (whole,) = partitions(file, footer)
    reader = PartitionReader(file, footer, ["a", "y"], [], batch_rows=150)
    first, *rest = units(whole, footer, 150)
    assert reader.read(first).num_rows == 150
    put_table(f"{lake}/part-1.parquet", number_table(437, 77))
    for unit in rest:
        with pytest.raises(BadPartition, match="has changed since it was looked at"):
            reader.read(unit)
    assert read_footer(file).fingerprint.etag != footer.fingerprint.etag


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


def test_slow_store_is_read_within_its_time(job, local_job, s3_server, through, monkeypatch):
    expected = train(local_job)
    with Proxy(s3_server.url, delay=0.03) as proxy:
        through(proxy)
        assert train(job).state_sha256 == expected.state_sha256


def test_row_group_is_read_in_few_requests(lake, s3_server, through):
    with Proxy(s3_server.url) as proxy:
        through(proxy)
        file = discover(f"{lake}/part-1.parquet")[0]
        footer = read_footer(file)
        assert len(proxy.seen) <= 4
        proxy.seen.clear()
        (whole,) = partitions(file, footer)
        reader = PartitionReader(file, footer, footer.schema.names, [], batch_rows=150)
        n_units = sum(reader.read(unit).num_rows > 0 for unit in units(whole, footer, 150))
        assert n_units == 3
        assert len(proxy.seen) <= n_units


@pytest.mark.parametrize(
    ("pattern", "n_files"),
    [("", 4), ("/", 4), ("/part-[12].parquet", 2), ("/part-3.parquet", 1), ("/**/part-*", 4)],
)
def test_lake_is_a_prefix_a_pattern_or_an_object(lake, pattern, n_files):
    found = discover(lake + pattern)
    assert len(found) == n_files
    assert found[-1].key == "part-3.parquet" or pattern == "/part-[12].parquet"
    assert all(read_footer(file).fingerprint.rows for file in found)


def test_names_and_folders_of_a_remote_lake_are_those_of_a_local_one(upload, tmp_path, monkeypatch):
    folder = tmp_path / "odd"
    names = ["date=2026-01-01/a b.parquet", "date=2026-01-02/n%20x=1/ü.parquet", "top.parquet"]
    hidden = ["_SUCCESS", "_temporary/x.parquet", ".x.parquet", "_col=1/kept.parquet"]
    for name in names + hidden:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(number_table(10, 0), folder / name)
    url = upload(folder, "odd")
    for pattern in ("", "/date=2026-*", "/**/*.parquet", "/date=2026-01-01"):
        here, there = discover(f"{folder}{pattern}"), discover(f"{url}{pattern}")
        assert [(f.key, f.hive) for f in there] == [(f.key, f.hive) for f in here]
    listed = discover([f"{url}/top.parquet", f"{url}/{names[0]}"])
    assert [file.key for file in listed] == [f"{url}/{names[0]}", f"{url}/top.parquet"]
    assert listed[0].hive == (("date", "2026-01-01"),)


def test_what_is_not_there_is_named(bucket, lake):
    with pytest.raises(JobError, match=f"the lake '{bucket}/nothing' does not exist"):
        discover(f"{bucket}/nothing")
    with pytest.raises(EmptyLake, match="no Parquet file"):
        discover(f"{lake}/*.csv")
    with pytest.raises(StoreRefused, match=f"{bucket}-not/x: the bucket does not exist"):
        discover(f"{bucket}-not/x")
    with pytest.raises(ModelNotFound, match=f"no model in '{bucket}/m'"):
        open_model(f"{bucket}/m")


def test_large_row_group_is_read_in_bounded_memory(bucket, monkeypatch):
    monkeypatch.setattr("pipeline.lake.read.REMOTE_BYTES", 16 << 20)
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=1_500_000) for name in "abcd"}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, row_group_size=2_000_000, use_dictionary=False)
    data = sink.getvalue()
    assert data.size > 40 << 20
    connect(parse_url(bucket)).put("large/x.parquet", data.to_pybytes())
    del sink, data
    file = discover(f"{bucket}/large")[0]
    footer = read_footer(file)
    (whole,) = partitions(file, footer)
    reader = PartitionReader(file, footer, list("abcd"), [], batch_rows=16_384)
    before, most, total = pa.total_allocated_bytes(), 0, 0.0
    # What comes from the store is bytes of Python until pyarrow has decoded it.
    tracemalloc.start()
    for unit in units(whole, footer, 16_384):
        total += float(np.sum(reader.read(unit).column("a").to_numpy()))
        most = max(most, pa.total_allocated_bytes() - before + tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert total == pytest.approx(float(columns["a"].sum()))
    assert 1 << 20 < most < 24 << 20


SECRET_URLS = [
    f"s3://{KEY_ID}:{SECRET}@bucket/lake",
    f"s3://user:{SECRET.split('/')[-1]}@bucket/lake",
    f"s3://bucket/lake?X-Amz-Signature={SECRET}",
    f"s3://bucket/lake/X-Amz-Signature={SECRET}",
    f"az://container/lake?sv=2020&sig={SECRET}",
    f"https://bucket.s3.amazonaws.com/lake?X-Amz-Credential={KEY_ID}&X-Amz-Signature={SECRET}",
]


@pytest.mark.parametrize("url", SECRET_URLS)
def test_url_with_a_secret_is_refused_and_not_repeated(url, onepass, tmp_path, caplog):
    secret = SECRET.split("/")[-1]
    tries: list[Callable[[], object]] = [
        lambda: parse_job({"lake": url, "label": "y", "model": "m"}),
        lambda: parse_job({"lake": ["a", url], "label": "y", "model": "m"}),
        lambda: parse_job({"lake": "a", "label": "y", "model": url}),
        lambda: parse_job({"lake": "a", "label": "y", "model": "m", "holdout": url}),
        lambda: discover(url),
        lambda: discover([url]),
        lambda: open_store(url),
        lambda: Model.load(url),
    ]
    for attempt in tries:
        with pytest.raises(JobError) as found:
            attempt()
        assert secret not in str(found.value) + repr(found.value)
    for arguments in (
        ["train", url, "--label", "y", "--model", tmp_path / "m"],
        ["train", "--model", url],
        ["inspect", url],
        ["evaluate", url, "--model", tmp_path / "m"],
        ["log", url],
        ["--debug", "log", url],
    ):
        code, out, err = onepass(*arguments)
        assert code == 2
        assert secret not in out + err
    assert secret not in caplog.text
    assert not (tmp_path / "m").exists()


def test_refused_url_is_not_in_the_errors_that_a_form_shows():
    from pydantic import ValidationError

    from pipeline import Job

    with pytest.raises(ValidationError) as found:
        Job(lake=SECRET_URLS[0], label="y", model="m")
    assert SECRET not in str(found.value)


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


def test_profile_of_the_shared_configuration_is_used(bucket, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "shared").write_text(
        f"[lakes]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "shared"))
    monkeypatch.setenv("AWS_PROFILE", "lakes")
    forget()
    provider = connect(parse_url(bucket)).credential_provider
    assert provider()["access_key_id"] == KEY_ID
    assert open_store(f"{bucket}/m").create("a", b"1")
    monkeypatch.setenv("AWS_PROFILE", "another")
    forget()
    with pytest.raises(JobError, match="the AWS profile cannot be used"):
        open_store(f"{bucket}/m")


def test_lent_credentials_count_for_the_time_of_the_block_and_stay_out_of_the_environment(
    bucket, s3_server, monkeypatch
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    forget()
    lent = {
        "aws_access_key_id": KEY_ID,
        "aws_secret_access_key": SECRET,
        "aws_endpoint_url": s3_server.url,
    }
    with credentials("s3", lent):
        assert open_store(f"{bucket}/m").create("a", b"1")
        assert SECRET not in str(dict(os.environ))
    assert "access_key_id" not in connect(parse_url(bucket)).config


def test_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("pipeline.cloud.connect.find_spec", lambda name: None)
    for scheme in ("s3", "gs", "az"):
        with pytest.raises(JobError, match=rf"pip install 'onepass\[{scheme}\]'"):
            discover(f"{scheme}://bucket/lake")


def test_every_scheme_has_its_store(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    forget()
    kinds = [type(connect(parse_url(f"{s}://bucket/x"))).__name__ for s in ("s3", "gs", "az")]
    forget()
    assert kinds == ["S3Store", "GCSStore", "AzureStore"]
    for wrong in ("ftp://host/x", "file:///x", "S4://bucket/x"):
        with pytest.raises(JobError, match="expected a local path or an s3://, gs:// or az:// URL"):
            discover(wrong)


@pytest.mark.parametrize("text", ["soon", "-1", "0", "inf", "nan"])
def test_settings_of_time_are_checked(bucket, monkeypatch, text):
    monkeypatch.setenv("ONEPASS_STORE_TIMEOUT", text)
    with pytest.raises(JobError, match="ONEPASS_STORE_TIMEOUT: expected seconds above 0"):
        discover(bucket)


def test_reading_goes_on_while_another_thread_waits_for_the_store(lake, s3_server, through):
    """Requests release the interpreter, or reading ahead would stop the learner."""
    with Proxy(s3_server.url, delay=0.5) as proxy:
        through(proxy)
        thread = threading.Thread(target=discover, args=(lake,))
        began, turns = time.monotonic(), 0
        thread.start()
        while thread.is_alive():
            turns += 1
            time.sleep(0.001)
        assert time.monotonic() - began >= 0.5
        assert turns > 100
