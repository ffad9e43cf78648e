"""Memory stays below the limit, however large a row group is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass.encode.nested_kinds import Pairs
from onepass.encode.scalar_kinds import Hashed, Numeric
from onepass.encode.schema import Label, Schema
from onepass.environment import peak_rss_bytes
from onepass.errors import JobError
from onepass.job import Job
from onepass.model.memory import (
    MAX_BATCH_ROWS,
    fit_batch_rows,
    fit_shares,
    partitions_at_once,
    whole_bytes,
)
from onepass.partition import Fingerprint

N_ROWS = 4_000_000


def write_row_groups(path: Path, n_columns: int, n_groups: int) -> None:
    """Row groups of 4 million rows; columns are views of one array, so that writing is cheap."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal(N_ROWS + 1000 * n_columns, dtype=np.float32)
    columns = {f"x{i}": base[1000 * i : 1000 * i + N_ROWS] for i in range(n_columns)}
    columns["y"] = columns["x0"] - 2 * columns["x1"] + columns["x2"] ** 2
    schema = pa.schema([(name, pa.float32()) for name in columns])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as sink:
        for _ in range(n_groups):
            sink.write_table(pa.table(columns, schema=schema), row_group_size=N_ROWS)
    assert pq.read_metadata(path).num_row_groups == n_groups
    assert path.stat().st_size > 16e6 * n_columns * n_groups


@pytest.mark.parametrize(("n_columns", "n_groups"), [(30, 1), (24, 3)], ids=["sliced", "whole"])
def test_row_group_of_half_a_gigabyte_is_trained_within_the_default_limit(
    tmp_path, n_columns, n_groups
):
    """The smaller ones are decoded as a whole, one after another."""
    write_row_groups(tmp_path / "large.parquet", n_columns, n_groups)
    command = [sys.executable, "-c", "from onepass.cli import main; main()", "train"]
    done = subprocess.run(
        [*command, str(tmp_path), "--label", "y", "--model", str(tmp_path / "model"), "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    (tmp_path / "large.parquet").unlink()
    assert report["rows"] == N_ROWS * n_groups
    assert report["peak_rss_bytes"] < 1 << 30
    assert report["metrics"]["r2"] > 0.7


def test_large_row_groups_of_a_round_are_trained_within_the_default_limit(tmp_path):
    """Four threads would decode four row groups of 240 MB at once, if memory did not count."""
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.standard_normal(N_ROWS // 2, dtype=np.float32) for i in range(30)}
    columns["y"] = columns["x0"] - 2 * columns["x1"]
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "0.parquet", use_dictionary=False, row_group_size=N_ROWS)
    for i in range(1, 5):
        os.link(tmp_path / "0.parquet", tmp_path / f"{i}.parquet")
    code = """
import os
from onepass.cli import main
from onepass.training import round_sizes
os.cpu_count = lambda: 4
round_sizes.DENSE = round_sizes.Rule(share=9.0, least_rounds=4, most=256)
main()
"""
    model = ["--label", "y", "--model", str(tmp_path / "model"), "--parallel", "4", "--json"]
    command = [sys.executable, "-c", code, "train", str(tmp_path), *model]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["version"] == 1 + len([1, 4])
    assert report["peak_rss_bytes"] < 1 << 30


def test_wide_row_group_is_trained_within_its_limit(tmp_path):
    """Neither its decoded rows nor a page of each column fit into the limit."""
    n_rows, n_columns = 300_000, 300
    base = np.random.default_rng(0).standard_normal(n_rows + n_columns, dtype=np.float32)
    table = pa.table({f"x{i}": base[i : i + n_rows] for i in range(n_columns)})
    table = table.append_column("y", pa.array(base[:n_rows] - 2 * base[7 : n_rows + 7]))
    pq.write_table(table, tmp_path / "wide.parquet", row_group_size=n_rows, use_dictionary=False)
    del table
    command = [sys.executable, "-c", "from onepass.cli import main; main()", "train"]
    options = ["--label", "y", "--model", str(tmp_path / "model"), "--memory-limit", "700MB"]
    done = subprocess.run(
        [*command, str(tmp_path / "wide.parquet"), *options, "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["rows"] == n_rows
    assert report["peak_rss_bytes"] < 700e6
    assert report["metrics"]["r2"] > 0.9


def test_models_of_several_labels_are_trained_within_one_limit(tmp_path):
    """States and blocks of all are in memory at the same time, in rounds as well."""
    n_rows, n_columns = 200_000, 80
    base = np.random.default_rng(0).standard_normal(n_rows + n_columns, dtype=np.float32)
    columns = {f"x{i}": base[i : i + n_rows] for i in range(n_columns)}
    for number in range(3):
        columns[f"y{number}"] = base[:n_rows] - 2 * base[7 + number : n_rows + 7 + number]
    pq.write_table(pa.table(columns), tmp_path / "0.parquet", row_group_size=n_rows)
    for number in range(1, 4):
        os.link(tmp_path / "0.parquet", tmp_path / f"{number}.parquet")
    code = "from onepass.cli import main; from onepass.training import round_sizes\n"
    code += "round_sizes.DENSE = round_sizes.Rule(share=9.0, least_rounds=2, most=256)\nmain()"
    options = ["--label", "y0,y1,y2", "--model", str(tmp_path / "models"), "--parallel", "2"]
    options += ["--memory-limit", "750MB", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, "train", str(tmp_path / "*.parquet"), *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["models"]
    assert [one["rows"] for one in found] == 3 * [4 * n_rows]
    assert [one["version"] for one in found] == 3 * [1 + len([1, 2, 1])]
    assert all(one["metrics"]["r2"] > 0.9 for one in found)
    assert max(one["peak_rss_bytes"] for one in found) < 750e6


def test_blocks_of_several_models_have_fewer_rows_where_memory_is_narrow():
    label = Label(name="y", family="number", domain="real")
    columns = [Numeric(name=f"x{i}", center=0.0, scale=1.0, missing=False) for i in range(400)]
    schema = Schema(columns=columns, label=label, weight=None, hash_bits=10, hive={})
    job = Job(lake="a", label="y", model="m", solver="newton", memory_limit="2GiB")
    job = job.model_copy(update={"loss": "squared"})
    alone = fit_batch_rows(job, schema)
    others = 3 * [(job, schema)]
    assert fit_batch_rows(job, schema, beside=others) <= alone / 2
    assert whole_bytes(job, schema, alone, others) < whole_bytes(job, schema, alone)
    with pytest.raises(JobError, match="of each of 28 models"):
        fit_batch_rows(job, schema, beside=9 * others)


def test_survey_of_wide_files_with_many_row_groups_is_that_of_one_file(tmp_path):
    """Neither their footers nor pages of all columns are in memory at once."""
    n_columns, n_rows, n_groups, n_files = 1000, 1000, 16, 16
    base = np.random.default_rng(0).standard_normal(n_rows + n_columns, dtype=np.float32)
    table = pa.table({f"x{i}": base[i : i + n_rows] for i in range(n_columns)})
    first = tmp_path / "lake/0.parquet"
    first.parent.mkdir()
    with pq.ParquetWriter(first, table.schema) as sink:
        for _ in range(n_groups):
            sink.write_table(table)
    for number in range(1, n_files):
        os.link(first, first.with_name(f"{number}.parquet"))
    code = "import sys; from onepass.environment import peak_rss_bytes\n"
    code += "from onepass.survey.survey import survey; import onepass.actions.train\n"
    code += "survey(sys.argv[1], label='x0'); print(peak_rss_bytes())"
    command = [sys.executable, "-c", code, str(first.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 500 << 20


def test_blocks_of_long_texts_have_fewer_rows():
    column = Hashed(name="t", family="text")
    label = Label(name="y", family="number", domain="real")
    schema = Schema(columns=[column], label=label, weight=None, hash_bits=10, hive={})
    job = Job(lake="a", label="y", model="m", solver="sgd", learning_rate=[0.1])
    job = job.model_copy(update={"loss": "squared"})
    assert fit_batch_rows(job, schema, widths={"t": 8}) == fit_batch_rows(job, schema)
    rows = fit_batch_rows(job, schema, widths={"t": 10_000})
    assert rows < MAX_BATCH_ROWS
    assert rows * 10_000 < job.memory_limit / 5


def test_blocks_of_rows_with_thousands_of_entries_fit_into_the_limit():
    job = Job(lake="a", label="y", model="m", solver="sgd", learning_rate=[0.1])
    job = job.model_copy(update={"loss": "squared"})

    def fitted(per_row: float, limit: str = "2GiB") -> int:
        column = Pairs(name="i:v", index="i", value="v", scale=1, per_row=per_row)
        label = Label(name="y", family="number", domain="real")
        schema = Schema(columns=[column], label=label, weight=None, hash_bits=10, hive={})
        bounded = Job(**job.model_dump() | {"memory_limit": limit})
        return fit_batch_rows(bounded, schema, widths={"i": 4 * per_row, "v": 4 * per_row})

    assert fitted(5) == MAX_BATCH_ROWS
    few = fitted(10_000)
    # An entry takes 16 bytes in a block while it is gathered, and each task has a block.
    assert 64 <= few <= 2048
    assert 2e9 / 20 < few * 10_000 * 16 * 5 < 2e9 / 2
    with pytest.raises(JobError, match="dense and 1000000 hashed features: at least"):
        fitted(1e6)


@pytest.mark.parametrize("width", [300, 450, 601, 768])
def test_the_least_limit_that_an_error_names_is_enough(width):
    columns = [Numeric(name=f"x{i}", center=0.0, scale=1.0, missing=False) for i in range(width)]
    label = Label(name="y", family="number", domain="real")
    schema = Schema(columns=columns, label=label, weight=None, hash_bits=4, hive={})
    job = {"lake": "lake", "label": "y", "model": "model", "solver": "newton", "loss": "squared"}
    with pytest.raises(JobError, match="at least") as caught:
        fit_batch_rows(Job(**job, memory_limit="410MiB"), schema)
    (least,) = re.findall(r"at least (\d+) MiB", str(caught.value))
    assert fit_batch_rows(Job(**job, memory_limit=f"{least}MiB"), schema) > 0


def test_peak_is_that_of_the_process_and_not_of_the_one_that_started_it():
    ballast = np.ones(60_000_000)
    code = "from onepass.environment import peak_rss_bytes; print(peak_rss_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert peak_rss_bytes() > ballast.nbytes
    assert 10e6 < int(done.stdout) < 400e6


def shared_out(n_numbers=5, n_texts=2, bits=10, **options):
    """Rows of a block, and bytes for whole row groups, of a job of that width."""
    columns = [Numeric(name=f"x{i}", center=0, scale=1, missing=False) for i in range(n_numbers)]
    columns += [Hashed(name=f"t{i}", family="text") for i in range(n_texts)]
    label = Label(name="y", family="number", domain="real")
    schema = Schema(columns=columns, label=label, weight=None, hash_bits=bits, hive={})
    given = {"lake": "a", "label": "y", "model": "m", "solver": "sgd", "learning_rate": [0.1]}
    job = Job(**given | options).model_copy(update={"loss": "squared"})
    rows = fit_batch_rows(job, schema)
    return rows, whole_bytes(job, schema, rows)


def test_shares_of_a_round_fit_into_the_limit_together():
    numbers = [Numeric(name=f"x{i}", center=0, scale=1, missing=False) for i in range(30)]
    schema = Schema(columns=numbers, label=Label(name="y"), weight=None, hash_bits=10, hive={})
    fields = {"lake": "/lake", "label": "y", "model": "/model", "loss": "squared"}
    fields["solver"] = "newton"
    fitted = {
        limit: fit_shares(Job(**fields, memory_limit=limit), schema, MAX_BATCH_ROWS, 16)
        for limit in ("500MB", "1GiB", "2GiB", "16GiB")
    }
    assert [n for n, _ in fitted.values()] == [1, 3, 8, 16]
    assert all(whole >= 0 for _, whole in fitted.values())
    # Threads that are not there leave their memory to the others.
    few = fit_shares(Job(**fields, memory_limit="16GiB"), schema, MAX_BATCH_ROWS, 2)
    assert few[0] == 2
    assert few[1] > 6 * fitted["16GiB"][1]
    # Each share buffers what it reads from an object store.
    stored = Job(**fields | {"lake": "s3://bucket/lake"}, memory_limit="2GiB")
    assert fit_shares(stored, schema, MAX_BATCH_ROWS, 16)[0] == 6


def test_memory_for_whole_row_groups_is_what_blocks_and_learners_leave():
    rows, free = shared_out()
    assert rows == MAX_BATCH_ROWS
    assert 0 < free < 1 << 30
    for wider in ({"n_numbers": 6}, {"n_texts": 3}, {"bits": 11}, {"l2": [0.0, 1.0]}):
        assert shared_out(**wider)[1] < free
    assert shared_out(memory_limit="2GiB")[1] == free + (1 << 30)
    narrow, none = shared_out(n_numbers=1500, memory_limit="800MB")
    assert narrow < MAX_BATCH_ROWS
    assert none < free / 2


def partitions_of(rows: int, row_bytes: int, **options) -> int:
    schema = Schema(
        columns=[Numeric(name=f"x{i}", center=0, scale=1, missing=False) for i in range(30)],
        label=Label(name="y"),
        weight=None,
        hash_bits=10,
        hive={},
    )
    job = Job(lake="lake", label="y", model="model", memory_limit=2 << 30, solver="newton")
    job = job.model_copy(update={"l2": [0.0], "hash_bits": 10, "loss": "squared"})
    file = Fingerprint(size=rows * row_bytes, footer_sha256="", rows=rows, row_groups=1)
    return partitions_at_once(job, schema, MAX_BATCH_ROWS, [file], **options)


def test_partitions_that_are_read_at_once_share_the_memory():
    narrow = partitions_of(10_000_000, 120)
    # A task holds two blocks of some 70 MB, and the open pages of a row group.
    assert 5 <= narrow <= 12
    # Rows of small files are few, so more of them fit.
    assert partitions_of(1000, 120) > 3 * narrow
    # Long texts, which the schema does not tell of.
    assert partitions_of(10_000_000, 1000) < narrow // 2
    assert partitions_of(10_000_000, 1_000_000) == 1
    assert partitions_of(10_000_000, 120, is_remote=True) < narrow
    # Sums of millions of slots.
    assert partitions_of(10_000_000, 120, result_bytes=256 << 20) < narrow // 2
