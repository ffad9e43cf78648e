"""Remote lakes are found, identified and read as local ones are, in few requests."""

from __future__ import annotations

import threading
import time
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass.cloud.connect import connect
from onepass.cloud.url import parse_url
from onepass.errors import BadPartition, EmptyLake, JobError, ModelNotFound, StoreRefused
from onepass.lake.discover import discover
from onepass.lake.footer import partitions, read_footer
from onepass.lake.limits import ReadLimits
from onepass.lake.read import PartitionReader
from onepass.lake.units import units
from onepass.model.directory import open_model
from s3 import Proxy, put_table


@pytest.fixture
def lake(s3_lake: str) -> str:
    return s3_lake


def test_same_footer_and_another_etag_is_a_change(lake):
    """Contents with equal sizes and statistics have equal footers, but different etags."""
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


def test_row_group_that_is_spilled_takes_fewer_requests_than_slices(bucket, s3_server, through):
    table = pa.table({f"x{i}": np.random.default_rng(i).normal(size=20_000) for i in range(60)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    connect(parse_url(bucket)).put("spilled/x.parquet", sink.getvalue().to_pybytes())
    limits = ReadLimits(page_bytes=1 << 10, reader_bytes=0, remote_bytes=6 << 20)
    n_requests = {}
    with Proxy(s3_server.url) as proxy:
        through(proxy)
        file = discover(f"{bucket}/spilled")[0]
        footer = read_footer(file)
        (whole,) = partitions(file, footer)
        for spills in (True, False):
            proxy.seen.clear()
            options = {"spills": spills, "limits": limits}
            reader = PartitionReader(file, footer, table.column_names, [], 1000, **options)
            parts = [reader.read(unit) for unit in units(whole, footer, 1000)]
            found = pa.Table.from_batches(parts).select(table.column_names)
            assert found.combine_chunks() == table.combine_chunks()
            n_requests[spills] = len(proxy.seen)
    # About two for each of twelve shares of the columns, against some for each column.
    assert n_requests[True] < 30 < n_requests[False], n_requests


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


def test_missing_lake_bucket_or_model_is_named(bucket, lake):
    with pytest.raises(JobError, match=f"the lake '{bucket}/nothing' does not exist"):
        discover(f"{bucket}/nothing")
    with pytest.raises(EmptyLake, match="no Parquet file"):
        discover(f"{lake}/*.csv")
    with pytest.raises(StoreRefused, match=f"{bucket}-not/x: the bucket does not exist"):
        discover(f"{bucket}-not/x")
    with pytest.raises(ModelNotFound, match=f"no model in '{bucket}/m'"):
        open_model(f"{bucket}/m")


@pytest.mark.parametrize("name", ["dir//p.parquet", "./p.parquet", "a/../p.parquet"])
def test_key_that_is_no_path_is_named(bucket, lake, s3_server, name):
    s3_server.put(f"{lake.removeprefix('s3://')}/{name}", b"")
    with pytest.raises(StoreRefused, match=f"found 'lakes/numbers/{name}'\nRename the object"):
        discover(lake)


def test_large_row_group_is_read_in_bounded_memory(bucket):
    limits = ReadLimits(remote_bytes=16 << 20)
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
    reader = PartitionReader(file, footer, list("abcd"), [], batch_rows=16_384, limits=limits)
    before, most, total = pa.total_allocated_bytes(), 0, 0.0
    # Bytes from the store are Python objects until pyarrow has decoded them.
    tracemalloc.start()
    for unit in units(whole, footer, 16_384):
        total += float(np.sum(reader.read(unit).column("a").to_numpy()))
        most = max(most, pa.total_allocated_bytes() - before + tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert total == pytest.approx(float(columns["a"].sum()))
    assert 1 << 20 < most < 24 << 20


def test_reading_goes_on_while_another_thread_waits_for_the_store(lake, s3_server, through):
    """Requests must release the interpreter lock, or reading ahead would stop the learner."""
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
