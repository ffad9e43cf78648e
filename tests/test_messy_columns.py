"""A lake as programs write it: ids as floats, numbers and times as text, many words for nothing.

Its twin holds the same values in their own types. Whatever is made of the one must be made of the
other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lakes import write_files
from onepass import Model, evaluate, rewind, score, train, verify
from onepass.actions.summary import summarise
from onepass.errors import JobError
from onepass.model.directory import open_model
from onepass.survey.choice import Choice
from onepass.survey.survey import survey
from recording import Recorder

MARKERS = ["?", "NA", "", " ", "null", "N/A", "-", "None"]
KINDS = ["messy", "clean"]


def tables(n: int, seed: int) -> dict[str, pa.Table]:
    """The same rows, messy and clean."""
    rng = np.random.default_rng(seed)
    effect = np.random.default_rng(99).normal(size=30)
    store, missing = rng.integers(0, 30, n), rng.random((4, n)) < 0.1
    amount = np.round(rng.gamma(2, 20, n), 2)
    moment = rng.integers(1_700_000_000, 1_730_000_000, n).astype("datetime64[s]")
    word = rng.choice(["red", "green", "NA"], n)
    y = 2 * effect[store] + 0.05 * amount + (word == "red") + 0.5 * rng.normal(size=n)
    nothing = rng.choice(np.array(MARKERS, object), (2, n))
    clean = {
        "row_id": pa.array(np.arange(n)),
        "store": pa.array(store, mask=missing[0]),
        "amount": pa.array(amount, mask=missing[1]),
        "moment": pa.array(moment, mask=missing[2]),
        "word": pa.array(word.tolist(), mask=missing[3]),
        "zip": pa.array([f"0{code}" for code in 1000 + store]),
        "y": pa.array(y),
    }
    zones = ["{}+00:00", "{}", "{}Z", " {}.000"]
    messy = clean | {
        "store": pa.array(store.astype(float), mask=missing[0]),
        "amount": pa.array(np.where(missing[1], nothing[0], amount.astype(str)).tolist()),
        "moment": pa.array(
            [
                nothing[1][i] if missing[2][i] else zones[i % len(zones)].format(time)
                for i, time in enumerate(moment.astype(str).tolist())
            ]
        ),
        "word": pa.array(np.where(missing[3], " ", word).tolist()),
    }
    return {"messy": pa.table(messy), "clean": pa.table(clean)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two lakes of four files, each with a model of 700 rows a file, and the tables of new rows."""
    folder = tmp_path_factory.mktemp("twins")
    for i in range(4):
        for kind, table in tables(700, seed=i).items():
            (folder / kind).mkdir(exist_ok=True)
            pq.write_table(table, folder / kind / f"{i}.parquet", row_group_size=300)
    for kind in KINDS:
        train(job(folder, kind))
    return folder


def job(folder: Path, kind: str, model: str | None = None) -> dict[str, Any]:
    name = model or f"{kind}-model"
    return {"lake": str(folder / kind), "label": "y", "model": str(folder / name), "epochs": 2}


def test_messy_lake_is_planned_like_its_twin(folder):
    found = {kind: survey(str(folder / kind), label="y") for kind in KINDS}
    planned = {
        kind: {column.name: column.planned for column in one.columns} for kind, one in found.items()
    }
    assert planned["messy"] == planned["clean"] == {
        "row_id": "left out",
        "store": "one-hot (30 levels)",
        "amount": "numeric",
        "moment": "time (trend, hour, weekday)",
        "word": "one-hot (2 levels)",
        "zip": "one-hot (30 levels)",
    }  # fmt: skip


def test_messy_lake_ends_in_the_bytes_of_its_twin(folder):
    states = {}
    for kind in KINDS:
        entries = open_model(str(folder / f"{kind}-model")).ledger.history.trained()
        assert [entry.counts for entry in entries] == [{}] * 8
        states[kind] = [entry.state.sha256 for entry in entries]
    assert states["messy"] == states["clean"]


@pytest.mark.parametrize("solver", ["sgd", "newton"])
def test_hashed_ids_and_large_row_groups_in_slices_end_in_the_bytes_of_the_twin(folder, solver):
    states = set()
    for kind in KINDS:
        for limit in ("600MB", "4GB"):
            model = f"{kind}-{solver}-{limit}"
            wishes = {"solver": solver, "hash_bits": 10, "memory_limit": limit}
            wishes |= {"exclude": ["zip"], "learning_rate": [0.01]} if solver == "sgd" else {}
            states.add(train(job(folder, kind, model) | wishes).state_sha256)
    assert len(states) == 1


def test_everything_that_reads_rows_tells_of_the_messy_lake_what_it_tells_of_the_twin(folder):
    models = {kind: str(folder / f"{kind}-model") for kind in KINDS}
    reports = [evaluate(str(folder / kind), models[kind]) for kind in KINDS]
    # Margins add up columns of one type together, so sums may differ in their last bit.
    assert reports[0].loss == pytest.approx(reports[1].loss, rel=1e-12)
    assert reports[0].counts == reports[1].counts == {}
    messy, clean = (summarise(Model.load(models[kind])) for kind in KINDS)
    assert messy.coefficients == clean.coefficients
    scored = []
    for kind in KINDS:
        score(str(folder / kind), models[kind], str(folder / f"{kind}-scored"))
        scored.append(pq.read_table(folder / f"{kind}-scored"))
    found, wanted = (table.column("prediction").to_numpy() for table in scored)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_messy_model_predicts_frames_and_tables_of_either_kind(folder):
    model, rows = Model.load(str(folder / "messy-model")), tables(200, seed=9)
    wanted = model.predict(rows["clean"])
    features = model.features(rows["clean"])
    for form in (rows["messy"], rows["messy"].to_pandas(), rows["clean"].to_pandas()):
        np.testing.assert_allclose(model.predict(form), wanted, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(model.features(form), features)
    pytest.importorskip("sklearn")
    exported = model.to_sklearn()
    np.testing.assert_allclose(exported.predict(rows["messy"].to_pandas()), wanted, atol=1e-9)


def test_rewound_messy_model_ends_in_the_same_bytes_again(folder):
    fields = job(folder, "messy", "rewound")
    first = train(fields).state_sha256
    for path in (folder / "rewound" / "state").iterdir():
        path.unlink()
    rewind(fields["model"], to=4)
    assert train({"model": fields["model"]}).state_sha256 == first
    assert verify(fields["model"]).sound


def test_folders_may_hold_numbers_and_times_as_text(tmp_path):
    for i in range(6):
        hour = f"2026-03-01T{3 * i:02}%3A00"
        place = tmp_path / "lake" / f"at={hour}" / f"share={i / 4 if i else '-'}"
        place.mkdir(parents=True)
        pq.write_table(tables(50, seed=i)["clean"].select(["amount", "y"]), place / "a.parquet")
    fields = {"lake": str(tmp_path / "lake"), "label": "y", "model": str(tmp_path / "model")}
    assert train(fields).partitions == 6
    names = open_model(fields["model"]).file.encoder.feature_names()
    assert {"at (trend)", "at hour sin", "share", "share is null"} <= set(names)
    for entry in open_model(fields["model"]).ledger.history.trained():
        assert entry.counts == {}


def test_what_is_read_is_frozen_in_the_model(folder):
    columns = json.loads((folder / "messy-model" / "model.json").read_text())["encoder"]["columns"]
    frozen = {column["name"]: column for column in columns}
    assert frozen["amount"]["text"]
    assert "n/a" in frozen["moment"]["missing_texts"]
    assert frozen["store"]["whole"]
    assert frozen["word"]["blank_is_null"]


DAY0 = 1_750_000_000


def writers(n: int, seed: int) -> dict[str, dict[str, pa.Array]]:
    """The same rows as different programs write them, by the program."""
    rng = np.random.default_rng(seed)
    seconds = rng.integers(DAY0, DAY0 + 30_000_000, n)
    missing = rng.random((4, n)) < 0.1
    agent, amount = rng.integers(100, 130, n), np.round(rng.normal(50, 20, n), 2)
    moment = pa.array(seconds, mask=missing[0]).cast(pa.timestamp("s"))
    label = np.sin(seconds * 2 * np.pi / 86_400) + 0.1 * (agent % 7) + 0.01 * amount
    label += 0.1 * rng.normal(size=n)
    stamps = [None if moment[i].as_py() is None else moment[i].as_py() for i in range(n)]
    nothing = rng.choice(np.array([*MARKERS, "Unknown"], object), (3, n))

    def text(values, gone, words):
        return pa.array(
            [word if lost else str(v) for v, lost, word in zip(values, gone, words, strict=True)]
        )

    clean = {
        "at": moment.cast(pa.timestamp("us", "UTC")),
        "agent": pa.array(agent, mask=missing[1]),
        "amount": pa.array(amount, mask=missing[2]),
        "word": pa.array(rng.choice(["red", "green"], n).tolist(), mask=missing[3]),
    }
    zones = ["{:%Y-%m-%dT%H:%M:%SZ}", "{:%Y-%m-%d %H:%M:%S+00:00}"]
    written = [None if s is None else zones[i % 2].format(s) for i, s in enumerate(stamps)]
    texts = {
        "at": text(written, missing[0], nothing[0]),
        "agent": text(agent, missing[1], nothing[1]),
        "amount": text(amount, missing[2], nothing[2]),
        "word": text(clean["word"].to_pylist(), missing[3], nothing[0]),
    }
    decimals = pa.array(amount).cast(pa.decimal128(24, 2), safe=False)
    marked = {
        "at": pa.array(seconds * 1000, mask=missing[0]).cast(pa.float64()),
        "agent": pa.array(agent.astype(float), mask=missing[1]).dictionary_encode(),
        "amount": pc.if_else(pa.array(missing[2]), pa.scalar(-999).cast(decimals.type), decimals),
        "word": clean["word"].dictionary_encode(),
    }
    return {
        name: columns | {"y": pa.array(label)}
        for name, columns in {
            "clean": clean,
            "zoned": clean | {"at": clean["at"].cast(pa.timestamp("ns", "America/New_York"))},
            "texts": texts,
            "marked": marked,
        }.items()
    }


WISHES: dict[str, Any] = {"timezone": "Europe/Berlin", "missing": ["unknown", -999]}
ODD = {"clean": {}, "zoned": {}, "texts": {}, "marked": {"time_format": {"at": "milliseconds"}}}


@pytest.mark.parametrize("categorical", [[], ["agent"]])
def test_the_same_rows_of_any_writer_end_in_the_same_bytes(tmp_path, categorical):
    states: dict[str, str] = {}
    for name, wishes in ODD.items():
        (tmp_path / name).mkdir()
        for i in range(3):
            table = pa.table(writers(500, seed=i)[name])
            pq.write_table(table, tmp_path / name / f"{i}.parquet", row_group_size=200)
        fields = job(tmp_path, name) | WISHES | wishes | {"categorical": categorical}
        states[name] = train(fields).state_sha256
        entries = open_model(fields["model"]).ledger.history.trained()
        assert [entry.counts for entry in entries] == [{}] * 6
    assert len(set(states.values())) == 1, states
    names = open_model(fields["model"]).file.encoder.feature_names()
    assert {"at hour sin", "at is null", "word is null"} <= set(names)


def test_files_of_different_writers_make_one_lake(tmp_path):
    states = set()
    for name, order in {"one": ["clean"] * 4, "many": ["clean", "texts", "zoned", "texts"]}.items():
        (tmp_path / name).mkdir()
        for i, writer in enumerate(order):
            pq.write_table(pa.table(writers(500, seed=i)[writer]), tmp_path / name / f"{i}.parquet")
        named = {"categorical": ["agent"], "numeric": ["amount"], "exclude": ["at"]}
        states.add(train(job(tmp_path, name) | {"missing": ["unknown"]} | named).state_sha256)
    assert len(states) == 1


@pytest.mark.parametrize("limit", ["600MB", "4GB"])
def test_old_timestamps_of_any_year_are_read_as_those_of_today(tmp_path, limit):
    states = set()
    for old in (False, True):
        folder = tmp_path / f"{old}-{limit}"
        folder.mkdir()
        for i in range(2):
            rng = np.random.default_rng(i)
            days = rng.integers(19_000, 20_000, 900)
            days[::50] = (np.datetime64("9999-12-31") - np.datetime64("1970-01-01")).astype(int)
            at = pa.array(days * 86_400 * 10**6 + 123_457).cast(pa.timestamp("us"))
            table = pa.table({"at": at, "x": rng.normal(size=900), "y": (days > 50_000) * 1.0})
            pq.write_table(table, folder / f"{i}.parquet", use_deprecated_int96_timestamps=old)
        fields = job(tmp_path, folder.name) | {"memory_limit": limit}
        states.add(train(fields).state_sha256)
        assert open_model(fields["model"]).file.encoder.int96 == "us"
    assert len(states) == 1


N_SMALL = 300
MOMENTS = np.random.default_rng(5).integers(19_000, 20_000, N_SMALL) * 86_400
KINDS_OF_FILES = {
    "times": [
        pa.array(MOMENTS).cast(pa.timestamp("s")).cast(pa.timestamp("us", "UTC")),
        pa.array(MOMENTS // 86_400).cast(pa.int32()).cast(pa.date32()),
        pa.array(MOMENTS).cast(pa.timestamp("s")),
        pa.array(MOMENTS * 1000).cast(pa.date64()).dictionary_encode(),
    ],
    "durations": [pa.array(MOMENTS).cast(pa.duration("s")).cast(pa.duration(unit))
                  for unit in ("s", "us", "ns")],
    "clocks": [
        pa.array((MOMENTS // 977 % 86_400).astype(np.int32)).cast(pa.time32("s")),
        pa.array(MOMENTS // 977 % 86_400 * 10**9).cast(pa.time64("ns")),
        pa.array(MOMENTS // 977 % 86_400 * 10**6).cast(pa.time64("us")).dictionary_encode(),
    ],
    "numbers": [
        pa.array(MOMENTS / 64),
        pa.array(MOMENTS / 64).cast(pa.decimal128(20, 6)),
        pa.array(MOMENTS / 64).cast(pa.decimal256(40, 6)).dictionary_encode(),
        *([pa.array(MOMENTS / 64).cast(pa.decimal64(18, 6))] if hasattr(pa, "decimal64") else []),
    ],
    "truths": [pa.array(MOMENTS % 7 > 3), pa.array(MOMENTS % 7 > 3).dictionary_encode()],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS_OF_FILES)
def test_types_of_one_kind_and_columns_without_a_value_may_differ_between_files(tmp_path, kind):
    forms, rng = KINDS_OF_FILES[kind], np.random.default_rng(6)
    labels = [pa.array(rng.normal(size=N_SMALL)) for _ in range(8)]
    states = set()
    for name in ("alike", "mixed"):
        (tmp_path / name).mkdir()
        for i, label in enumerate(labels):
            values = forms[0] if name == "alike" else forms[i % len(forms)]
            if i in (0, 5):
                values = pa.nulls(N_SMALL, values.type if name == "alike" else pa.null())
            table = pa.table({"x": values, "other": label, "y": label})
            pq.write_table(table, tmp_path / name / f"{i}.parquet")
        states.add(train(job(tmp_path, name)).state_sha256)
        entries = open_model(str(tmp_path / f"{name}-model")).ledger.history.trained()
        assert all(entry.counts == {} for entry in entries)
    assert len(states) == 1


def test_whole_floats_beside_integers_are_one_category_and_a_fraction_counts(tmp_path):
    (tmp_path / "lake").mkdir()
    rng = np.random.default_rng(7)
    for i in range(4):
        agent = rng.integers(100, 110, N_SMALL)
        values = pa.array(agent.astype(float) if i % 2 else agent, mask=rng.random(N_SMALL) < 0.1)
        if i == 3:
            values = pc.if_else(pa.array(np.arange(N_SMALL) == 7), 101.5, values)
        table = pa.table({"agent": values, "y": agent % 3 + rng.normal(size=N_SMALL)})
        pq.write_table(table, tmp_path / "lake" / f"{i}.parquet")
    fields = job(tmp_path, "lake") | {"epochs": 1, "order": "stored"}
    with pytest.raises(JobError, match="--categorical names 'agent', but type double with fract"):
        train(fields | {"categorical": ["agent"]})
    later = (tmp_path / "lake" / "3.parquet").rename(tmp_path / "3.parquet")
    train(fields | {"categorical": ["agent"]})
    assert set(open_model(fields["model"]).file.encoder.columns[0].levels) == {
        str(agent) for agent in range(100, 110)
    }
    later.rename(tmp_path / "lake" / "3.parquet")
    train({"model": fields["model"]})
    entries = open_model(fields["model"]).ledger.history.trained()
    assert [entry.counts for entry in entries] == [{}, {}, {}, {"unknown_level": 1}]


def test_bytes_cannot_be_chosen_as_a_category(tmp_path):
    (tmp_path / "lake").mkdir()
    uid = pa.array([b"x" * 16] * 9, pa.binary(16))
    table = pa.table({"uid": uid, "x": range(9), "y": range(9)})
    pq.write_table(table, tmp_path / "lake" / "0.parquet")
    with pytest.raises(JobError, match=r"--categorical names 'uid' of type .*16.*write it as text"):
        survey(str(tmp_path / "lake"), label="y", choice=Choice(categorical=("uid",)))


def test_dates_of_later_files_in_another_form_are_warned_of(tmp_path):
    days = [f"{1 + i % 28:02}.{1 + i % 12:02}.2025" for i in range(400)]
    y = [float(i % 28) for i in range(400)]
    lake = write_files(tmp_path / "lake", {"a.parquet": pa.table({"day": days, "y": y})})
    job = {"lake": str(lake), "label": "y", "model": str(tmp_path / "m")}
    recorder = Recorder()
    train(job, progress=recorder)
    assert not any("another form" in note for note in recorder.notes)
    other = [f"2025-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(400)]
    for name in ("b", "c"):
        pq.write_table(pa.table({"day": other, "y": y}), lake / f"{name}.parquet")
    train(job, progress=recorder)
    [said] = [note for note in recorder.notes if "another form" in note]
    assert said.startswith(("b.parquet: 400 texts in 400 rows", "c.parquet: 400 texts in 400 rows"))
