"""Lakes with lists and maps, from the sample to the predictions, as several programs write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from onepass import Model, evaluate, score, train, verify
from onepass.actions.summary import summarise
from onepass.errors import BadPartition
from onepass.job_fields import parse_job
from onepass.ledger.store import open_store
from onepass.training.new_models import create_model

SIZE = 5
TAGS = np.array([f"tag{i}" for i in range(90)])


def rows(n: int, seed: int) -> dict[str, list[Any]]:
    """Rows as Python values; the label is linear in all of them."""
    rng, effects = np.random.default_rng(seed), np.random.default_rng(5)
    weight, effect = effects.normal(size=SIZE), effects.normal(size=len(TAGS))
    emb = rng.normal(size=(n, SIZE)).astype(np.float32)
    tags = [rng.choice(len(TAGS), k, replace=False) for k in rng.integers(0, 4, n)]
    few = [rng.choice(3, k, replace=True) for k in rng.integers(0, 4, n)]
    numbers = [np.round(rng.normal(size=len(row)), 3) for row in tags]
    y = emb @ weight + [
        float((x * effect[row]).sum()) for row, x in zip(tags, numbers, strict=True)
    ]
    y = y + [float(len(set(row.tolist()) & {1})) for row in few] + 0.1 * rng.normal(size=n)
    return {
        "emb": [None if i % 50 == 7 else row.tolist() for i, row in enumerate(emb)],
        "few": [None if i % 40 == 3 else [f"f{k}" for k in row] for i, row in enumerate(few)],
        "tags": [TAGS[row].tolist() for row in tags],
        "index": [row.tolist() for row in tags],
        "value": [row.tolist() for row in numbers],
        "x": rng.normal(size=n).tolist(),
        "y": y.tolist(),
    }


PLAIN = pa.schema(
    {
        "emb": pa.list_(pa.float32()),
        "few": pa.list_(pa.string()),
        "tags": pa.list_(pa.string()),
        "index": pa.list_(pa.int64()),
        "value": pa.list_(pa.float64()),
        "x": pa.float64(),
        "y": pa.float64(),
    }
)
CODES = pa.list_(pa.dictionary(pa.int32(), pa.string()))
TYPES = {
    "fixed": {"emb": pa.list_(pa.float32(), SIZE), "index": pa.list_(pa.int32())},
    "large": {"emb": pa.large_list(pa.float32()), "tags": pa.large_list(pa.large_string())},
    "codes": {"few": CODES, "tags": CODES},
}


def write(path: Path, values: dict[str, list[Any]], writer: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(values, PLAIN)
    match writer:
        case "pandas":
            pd.DataFrame(values).astype({"x": float}).to_parquet(path, row_group_size=300)
        case "duckdb":
            with duckdb.connect() as base:
                base.register("rows", table)
                base.execute(f"COPY rows TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 300)")
        case _:
            fields = {**dict(zip(PLAIN.names, PLAIN.types, strict=True)), **TYPES.get(writer, {})}
            # Without a dictionary for some row groups, and with a dictionary for others.
            pq.write_table(table.cast(pa.schema(fields)), path, row_group_size=300)


def job(folder: Path, lake: str, model: str = "model") -> dict[str, Any]:
    fields = {"lake": str(folder / lake), "label": "y", "model": str(folder / f"{lake}-{model}")}
    return fields | {"sparse": ["index:value"], "hash_bits": 12}


DENSE = {"exclude": ["tags", "index", "value"], "sparse": []}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("nested")
    for writer in ("plain", "pandas", *TYPES):
        for i in range(2):
            write(folder / writer / f"{i}.parquet", rows(900, seed=i), writer)
    write(folder / "duckdb" / "0.parquet", rows(900, seed=0), "duckdb")
    in_blocks_of(256, job(folder, "plain"))
    return folder


def in_blocks_of(n_rows: int, fields: dict[str, Any]) -> Any:
    """Train with blocks of at most so many rows, smaller than a row group or larger."""
    create_model(parse_job(fields), open_store(fields["model"]), max_batch_rows=n_rows)
    return train(fields)


@pytest.mark.parametrize("n_rows", [128, 4096])
@pytest.mark.parametrize("solver", ["newton", "sgd"])
def test_lists_in_every_type_end_in_the_same_bytes(folder, n_rows, solver):
    states = {}
    for writer in ("plain", "pandas", *TYPES):
        wishes = {"solver": solver, "exclude": ["few"]} if solver == "sgd" else {"solver": solver}
        fields = job(folder, writer, f"{solver}-{n_rows}") | wishes
        states[writer] = in_blocks_of(n_rows, fields).state_sha256
    # pandas stores elements in double precision, which are the same numbers.
    assert len(set(states.values())) == 1


def test_lists_that_duckdb_writes_are_those_of_pyarrow(folder, tmp_path):
    write(tmp_path / "plain" / "0.parquet", rows(900, seed=0), "plain")
    (tmp_path / "duckdb").symlink_to(folder / "duckdb")
    # duckdb makes one row group of these rows, so that they are learnt in another order.
    for lake in ("plain", "duckdb"):
        model = job(tmp_path, lake)["model"]
        train(job(tmp_path, lake))
        found = [evaluate(str(tmp_path / other), model).loss for other in ("plain", "duckdb")]
        assert found[0] == pytest.approx(found[1], rel=1e-12)


def test_coefficients_of_vectors_and_bags_are_those_of_least_squares(folder):
    train(job(folder, "plain", "dense") | DENSE)
    values = {k: v + rows(900, seed=1)[k] for k, v in rows(900, seed=0).items()}
    is_null = np.array([row is None for row in values["emb"]])
    emb = np.array([[0.0] * SIZE if row is None else row for row in values["emb"]])
    center = emb[~is_null].mean(axis=0)
    emb = np.where(is_null[:, None], center, emb)
    words = CountVectorizer(analyzer=list, binary=True, vocabulary=["f0", "f1", "f2"])
    few = words.transform([row or [] for row in values["few"]]).toarray()
    no_few = np.array([row is None for row in values["few"]])
    design = np.column_stack([np.ones(1800), emb, is_null, few, no_few, values["x"]])
    wanted = np.linalg.lstsq(design, np.array(values["y"]), rcond=None)[0]
    names = [*(f"emb[{i}]" for i in range(SIZE)), "emb is null", "few = f0", "few = f1", "few = f2"]
    summary = summarise(Model.load(job(folder, "plain", "dense")["model"]))
    found = {one.feature: one.coefficient for one in summary.coefficients}
    np.testing.assert_allclose(
        [found[name] for name in names], wanted[1 : len(names) + 1], atol=2e-3
    )


def test_sparse_rows_are_learnt_and_their_weights_named(folder):
    fields = job(folder, "plain")
    report = evaluate(fields["lake"], fields["model"])
    assert report.metrics["r2"] > 0.9
    summary = summarise(Model.load(fields["model"]))
    assert set(summary.hashed) == {"tags", "index:value"}
    effect = np.random.default_rng(5).normal(size=SIZE + len(TAGS))[SIZE:]
    found = {one.value: one.weight for one in summary.hashed_values if one.column == "index:value"}
    wanted = [effect[int(value)] for value in found]
    assert np.corrcoef(wanted, list(found.values()))[0, 1] > 0.9


def test_score_keeps_lists_and_predicts_what_the_model_predicts(folder, tmp_path):
    fields = job(folder, "plain")
    score(fields["lake"], fields["model"], str(tmp_path), keep=["tags", "emb", "y"])
    found, model = pq.read_table(tmp_path), Model.load(fields["model"])
    table = pq.read_table(fields["lake"])
    for name in ("tags", "emb", "y"):
        assert found.column(name).to_pylist() == table.column(name).to_pylist()
    wanted = model.predict(table)
    np.testing.assert_allclose(found.column("prediction"), wanted, rtol=0, atol=1e-12)
    # A data frame has arrays of objects in place of lists.
    np.testing.assert_allclose(model.predict(table.to_pandas()), wanted, rtol=0, atol=1e-12)


def test_fields_of_structs_are_predicted_from_as_from_their_lake(tmp_path):
    rng = np.random.default_rng(0)
    site = [
        None if i % 7 == 0 else {"id": f"s{i % 3}", "at": {"x": float(i % 5)}} for i in range(600)
    ]
    table = pa.table({"site": site, "z": rng.normal(size=600), "y": rng.normal(size=600)})
    (tmp_path / "lake").mkdir()
    pq.write_table(table, tmp_path / "lake" / "a.parquet")
    fields = {"lake": str(tmp_path / "lake"), "model": str(tmp_path / "model"), "label": "y"}
    train(fields)
    score(fields["lake"], fields["model"], str(tmp_path / "out"))
    wanted, model = (
        pq.read_table(tmp_path / "out").column("prediction"),
        Model.load(fields["model"]),
    )
    for rows in (table, table.to_pandas(), {name: table[name] for name in table.column_names}):
        np.testing.assert_allclose(model.predict(rows), wanted, rtol=0, atol=1e-12)


def test_model_of_lists_is_sound_and_retrains_to_its_bytes(folder):
    assert verify(job(folder, "plain")["model"], retrain=True).sound


def test_exported_pipeline_predicts_from_lists(folder):
    train(job(folder, "plain", "exported") | DENSE)
    model = Model.load(job(folder, "plain", "exported")["model"])
    frame = pq.read_table(folder / "plain").to_pandas()
    # The model clips to the range of the labels.
    found = model.to_sklearn().predict(frame).clip(frame["y"].min(), frame["y"].max())
    np.testing.assert_allclose(found, model.predict(frame), atol=1e-9)


@pytest.mark.parametrize(
    ("harm", "column", "fault"),
    [
        ({"emb": [1.0, 2.0]}, "emb", "expected lists of 5 numbers, found 2"),
        ({"value": [1.0] * 9}, "index:value", "found 9 of"),
    ],
)
def test_lists_of_another_length_are_an_error_with_their_place(
    folder, tmp_path, harm, column, fault
):
    for i in range(2):
        write(tmp_path / "lake" / f"{i}.parquet", rows(900, seed=i), "plain")
    fields = job(tmp_path, "lake")
    in_blocks_of(256, fields)
    bad = rows(900, seed=2)
    for name, value in harm.items():
        bad[name][700] = value
    write(tmp_path / "lake" / "2.parquet", bad, "plain")
    with pytest.raises(BadPartition, match=fault) as caught:
        train(fields)
    place = (caught.value.path, caught.value.row_group, caught.value.column)
    assert place == ("2.parquet", 2, column)
    assert train(fields | {"on_bad": "skip"}).skipped == 1


def test_kinds_are_frozen_in_the_model_file(folder):
    content = json.loads((folder / "plain-model" / "model.json").read_text())
    kinds = {one["name"]: one["kind"] for one in content["encoder"]["columns"]}
    assert kinds == {
        **{"emb": "vector", "few": "bag", "tags": "hashed_bag", "x": "numeric"},
        "index:value": "pairs",
    }
