"""Damaged Parquet files: an error that names the place, in bounded time and memory, or sound rows.

``REPEAT`` multiplies the number of damaged files, ``SEED`` changes which; `make torture` sets both.
"""

from __future__ import annotations

import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from damage import DAMAGES, DAMAGES_OF_PAGES, RANDOM, Case, Ending, n_edits, read_damaged
from footer_edits import COLUMNS, META_DATA, ROW_GROUPS, STATISTICS, footer_start, with_edit
from lakes import write_files
from onepass.actions.evaluate import evaluate
from onepass.actions.score import score
from onepass.errors import BadPartition
from onepass.ledger.entries import SkipEntry
from onepass.model.directory import open_model
from small import plan, train
from thrift import BINARY, I32, STRUCT

REPEAT = int(os.environ.get("REPEAT", "1"))
SEED = int(os.environ.get("SEED", "0"))

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"compression": "none", "use_dictionary": False},
    "snappy": {"compression": "snappy"},
    "zstd": {"compression": "zstd"},
    "gzip": {"compression": "gzip", "data_page_version": "2.0"},
    "lz4": {"compression": "lz4"},
    "brotli": {"compression": "brotli"},
    "delta": {
        "compression": "none",
        "use_dictionary": False,
        "column_encoding": {
            "a": "BYTE_STREAM_SPLIT",
            "c": "BYTE_STREAM_SPLIT",
            "n": "DELTA_BINARY_PACKED",
            "when": "DELTA_BINARY_PACKED",
            "id": "DELTA_BINARY_PACKED",
            "level": "DELTA_LENGTH_BYTE_ARRAY",
            "text": "DELTA_BYTE_ARRAY",
        },
    },
}


def sample_table(n_rows: int = 600, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    missing = rng.random(n_rows) < 0.1
    return pa.table(
        {
            "a": pa.array(rng.normal(size=n_rows), mask=missing),
            "n": pa.array(rng.integers(-1000, 1000, n_rows), pa.int64()),
            "c": rng.normal(size=n_rows).astype(np.float32),
            "flag": pa.array(rng.random(n_rows) < 0.5, mask=missing),
            "when": pa.array(rng.integers(0, 10**9, n_rows)).cast(pa.timestamp("ms")),
            "level": np.array(["north", "east", "south", "west"])[rng.integers(0, 4, n_rows)],
            "text": pa.array(rng.integers(0, 10**6, n_rows).astype(str), mask=missing),
            "id": pa.array(rng.integers(0, 500, n_rows), pa.int32()),
            "y": rng.normal(size=n_rows),
            "w": rng.random(n_rows),
        }
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("samples")
    for checksum in (False, True):
        for name, options in OPTIONS.items():
            path = folder / f"{name}-{'crc' if checksum else 'raw'}"
            options = options | {"row_group_size": 250, "data_page_size": 1500}
            pq.write_table(sample_table(), path, write_page_checksum=checksum, **options)
    pq.write_table(sample_table(1000), folder / "thousand", compression="none")
    options = {"row_group_size": 40, "use_deprecated_int96_timestamps": True}
    pq.write_table(table_of_many_kinds(60), folder / "kinds", **options)
    return folder


def table_of_many_kinds(n_rows: int) -> pa.Table:
    """The columns of `sample_table`, and some that no model reads."""
    more = {
        "price": pa.array([Decimal(i) / 4 for i in range(n_rows)], pa.decimal128(12, 2)),
        "fixed": pa.array([b"abcd"] * n_rows, pa.binary(4)),
        "count": pa.array(range(n_rows), pa.uint16()),
        "blob": pa.array([b"ab"] * n_rows),
        "tags": pa.array([["a", "b"] * (i % 3) for i in range(n_rows)]),
        "point": pa.array([{"x": 1.0, "y": {"z": i}} for i in range(n_rows)]),
        "map": pa.array([[("k", i)] for i in range(n_rows)], pa.map_(pa.string(), pa.int32())),
        "nothing": pa.nulls(n_rows),
    }
    table = sample_table(n_rows)
    for name, values in more.items():
        table = table.append_column(name, values)
    return table


def names(folder: Path, ending: str = "") -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_file() and p.name.endswith(ending))


def check(endings: list[Ending]) -> Counter[str]:
    """Refuse everything but errors and rows; what failed can be had again from its case."""
    wrong = [e for e in endings if e.outcome not in {"refused", "same", "different"}]
    assert not wrong, "\n\n".join(f"{e.case}: {e.outcome}\n{e.said}" for e in wrong[:3])
    return Counter(e.outcome for e in endings)


def test_damaged_files_are_refused_or_read_but_crash_hang_and_swell_nothing(samples):
    cases = [
        Case(sample, kind, SEED + seed)
        for sample in (*names(samples, "-raw"), *names(samples, "-crc"))
        for kind in RANDOM
        for seed in range(3 * REPEAT)
    ]
    endings = read_damaged(samples, cases)
    assert [ending.case for ending in endings] == cases
    outcomes = check(endings)
    # Damage is damage: most of it is seen.
    assert outcomes["refused"] > len(cases) / 2
    for ending in endings:
        if ending.outcome == "refused":
            assert ending.said.startswith("a.parquet")
            assert len(ending.said.splitlines()) == 2


def test_with_checksums_damage_to_pages_is_refused_or_changes_no_value(samples):
    cases = [
        Case(sample, kind, SEED + seed)
        for sample in names(samples, "-crc")
        for kind in DAMAGES_OF_PAGES
        for seed in range(8 * REPEAT)
    ]
    endings = read_damaged(samples, cases)
    outcomes = check(endings)
    changed = [ending.case for ending in endings if ending.outcome == "different"]
    assert not changed, changed[:5]
    assert outcomes["refused"] > 0.8 * len(cases)


def test_any_flipped_byte_of_a_footer_is_refused_or_survived(samples):
    """pyarrow itself aborts the process at some of them."""
    whole = (samples / "zstd-crc").read_bytes()
    step = max(1, 12 // REPEAT)
    places = range(footer_start(whole) + SEED % step, len(whole), step)
    check(read_damaged(samples, [Case("zstd-crc", "flip_nth", place) for place in places]))


def test_footer_with_any_field_changed_is_refused_or_survived(samples):
    """pyarrow's accessors of chunk metadata abort the process at one in fifty of them."""
    whole = (samples / "kinds").read_bytes()
    step = max(1, 50 // REPEAT)
    cases = [Case("kinds", "edit_nth", i) for i in range(SEED % step, n_edits(whole), step)]
    assert len(cases) > 500
    outcomes = check(read_damaged(samples, cases))
    # Most edits are of columns that are not read, or of fields that are not needed.
    assert outcomes["same"] > len(cases) / 2
    assert outcomes["refused"] > len(cases) / 5


def test_small_file_that_asks_for_gigabytes_is_refused_within_a_gigabyte(samples):
    kinds = ("billion_rows", "billion_rows_in_pages")
    endings = read_damaged(samples, [Case("thousand", kind, i) for kind in kinds for i in range(2)])
    assert check(endings) == {"refused": 4}
    for ending in endings:
        assert "a.parquet, row group 0" in ending.said


# -- what the child cannot show --------------------------------------------------------------------


def broken_text() -> pa.Array:
    """Bytes that are not UTF-8, as text that pyarrow does not check."""
    texts = pa.array([b"caf\xe9" if i == 40 else b"north" for i in range(60)], pa.binary())
    return pa.Array.from_buffers(pa.string(), 60, texts.buffers())


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_text_that_is_not_utf_8_is_refused_with_its_place(tmp_path, use_dictionary):
    y = np.arange(60.0)
    sound = pa.table({"x": y % 7, "word": ["north", "east", "south"] * 20, "y": y})
    lake = write_files(tmp_path / "lake", {"a.parquet": sound, "b.parquet": sound})
    model = str(tmp_path / "model")
    train({"lake": str(lake), "label": "y", "model": model})
    bad = sound.set_column(1, "word", broken_text())
    write_files(lake, {"c.parquet": bad}, row_group_size=25, use_dictionary=use_dictionary)
    where = "c.parquet, row group 1, column 'word': cannot decode"
    with pytest.raises(BadPartition, match=where):
        train({"model": model})
    with pytest.raises(BadPartition, match=where):
        train({"lake": str(lake), "label": "y", "model": str(tmp_path / "other")})
    assert not (tmp_path / "other").exists()


@pytest.fixture
def job(tmp_path) -> dict[str, Any]:
    tables = {f"part-{i}.parquet": sample_table(500, seed=i) for i in range(4)}
    lake = write_files(
        tmp_path / "lake", tables, row_group_size=150, write_page_checksum=True, data_page_size=600
    )
    return {"lake": str(lake), "label": "y", "weight": "w", "order": "stored", "on_bad": "skip"}


@pytest.mark.parametrize("solver", ["newton", "sgd"])
def test_damaged_file_is_trained_wholly_or_not_at_all(job, tmp_path, solver):
    """The state is that of a model which never saw the file, or saw it undamaged."""
    path = Path(job["lake"]) / "part-2.parquet"
    whole = path.read_bytes()
    job["solver"] = solver
    with_it = train(job | {"model": str(tmp_path / "with")})
    without = job | {"model": str(tmp_path / "without")}
    plan(without)
    path.unlink()
    without_it = train(without)
    outcomes = Counter()
    for seed in range(6 * REPEAT):
        path.write_bytes(whole)
        damaged = job | {"model": str(tmp_path / f"damaged-{seed}")}
        plan(damaged)
        kind = DAMAGES_OF_PAGES[seed % 3]
        path.write_bytes(DAMAGES[kind](whole, np.random.default_rng([SEED, seed])))
        report = train(damaged)
        outcomes[report.partitions] += 1
        expected = with_it if report.partitions == 4 else without_it
        assert report.state_sha256 == expected.state_sha256, (seed, SEED)
        skips = [e for e in open_model(damaged["model"]).ledger.entries if isinstance(e, SkipEntry)]
        assert [s.partition.path for s in skips] == ["part-2.parquet"] * (4 - report.partitions)
    assert outcomes[3] >= 4 * REPEAT


WRONG_TYPE = (I32, 3)
"""int96"""


def edit_chunk(path: Path, column: str, field: int, value: Any) -> None:
    """Change a field of a column's metadata in row group 1."""
    names = pq.read_schema(path).names
    place = (ROW_GROUPS, "1", COLUMNS, str(names.index(column)), META_DATA, field)
    path.write_bytes(with_edit(path.read_bytes(), (place, "set", value)))


@pytest.mark.parametrize("command", ["inspect", "train", "score"])
def test_column_whose_type_contradicts_the_schema_is_named_and_not_read(
    job, tmp_path, onepass, command
):
    """pyarrow aborts the process when it is asked for the statistics of such a chunk."""
    model = tmp_path / "model"
    if command == "score":
        train(job | {"model": str(model)})
    edit_chunk(Path(job["lake"]) / "part-2.parquet", "a", 1, WRONG_TYPE)
    options = {
        "inspect": ["--label", "y"],
        "train": ["--label", "y", "--model", model],
        "score": ["--model", model, "--out", tmp_path / "out"],
    }
    code, out, err = onepass(command, job["lake"], *options[command])
    where = "part-2.parquet, row group 1, column 'a': the schema has DOUBLE values"
    if command == "inspect":
        assert (code, f"bad file: {where}" in out) == (0, True)
    else:
        assert (code, err.count(f"onepass: {where}, but the footer promises INT96")) == (3, 1)


CONTRADICTIONS = {
    "type": (1, WRONG_TYPE),
    "statistics": (STATISTICS, (STRUCT, {5: (BINARY, b"x"), 6: (BINARY, b"")})),
}


@pytest.mark.parametrize("wrong", CONTRADICTIONS)
def test_file_whose_footer_contradicts_itself_about_a_used_column_is_skipped(job, tmp_path, wrong):
    edit_chunk(Path(job["lake"]) / "part-2.parquet", "a", *CONTRADICTIONS[wrong])
    job["model"] = str(tmp_path / "model")
    assert train(job).partitions == 3
    (skip,) = [e for e in open_model(job["model"]).ledger.entries if isinstance(e, SkipEntry)]
    assert skip.reason.startswith("part-2.parquet, row group 1, column 'a'")


@pytest.mark.parametrize("wrong", CONTRADICTIONS)
def test_file_whose_footer_contradicts_itself_about_an_unused_column_is_trained(
    job, tmp_path, wrong
):
    job["exclude"] = ["id"]
    expected = train(job | {"model": str(tmp_path / "sound")}).state_sha256
    edit_chunk(Path(job["lake"]) / "part-2.parquet", "id", *CONTRADICTIONS[wrong])
    found = train(job | {"model": str(tmp_path / "damaged")})
    assert (found.partitions, found.state_sha256) == (4, expected)


# -- evaluate and score ----------------------------------------------------------------------------


def damage_pages(path: Path) -> None:
    chunk = pq.read_metadata(path).row_group(2).column(0)
    data = bytearray(path.read_bytes())
    first = chunk.dictionary_page_offset or chunk.data_page_offset
    data[first + chunk.total_compressed_size // 2] ^= 0xA5
    path.write_bytes(data)


@pytest.mark.parametrize("command", ["evaluate", "score"])
@pytest.mark.parametrize("damage", ["pages", "footer", "columns"])
def test_evaluate_and_score_name_the_file_and_advise_what_can_be_done(
    job, tmp_path, onepass, command, damage
):
    job["model"] = str(tmp_path / "model")
    train(job)
    bad = Path(job["lake"]) / "part-2.parquet"
    if damage == "pages":
        damage_pages(bad)
    elif damage == "footer":
        bad.write_bytes(bad.read_bytes()[:-9])
    else:
        pq.write_table(sample_table().drop_columns("level"), bad)
    out = tmp_path / "out"
    more = ["--out", out] if command == "score" else []
    code, said, err = onepass(command, job["lake"], "--model", job["model"], *more)
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert (code, said, len(lines)) == (3, "", 2)
    assert lines[0].startswith("onepass: part-2.parquet")
    assert lines[1].startswith("Repair the file or take it out of the lake")
    assert "--on-bad" not in err
    found = sorted(path.name for path in out.rglob("*") if path.is_file())
    # Faults that the footers show are reported before a file is written.
    written = ["_onepass_manifest.json", "part-0.parquet", "part-1.parquet"]
    assert found == (written if (command, damage) == ("score", "pages") else [])


def test_score_goes_on_where_it_was_once_the_file_is_repaired(job, tmp_path):
    job["model"] = str(tmp_path / "model")
    train(job)
    bad = Path(job["lake"]) / "part-2.parquet"
    whole = bad.read_bytes()
    damage_pages(bad)
    with pytest.raises(BadPartition, match=r"part-2\.parquet, row group 2, column 'a'"):
        score(job["lake"], job["model"], tmp_path / "out")
    with pytest.raises(BadPartition, match=r"part-2\.parquet, row group 2, column 'a'"):
        evaluate(job["lake"], job["model"])
    bad.write_bytes(whole)
    report = score(job["lake"], job["model"], tmp_path / "out")
    assert (report.partitions, report.unchanged) == (2, 2)
