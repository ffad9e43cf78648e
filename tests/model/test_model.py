"""A model predicts from anything with the right columns, and is never more than data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import Model, plan, train
from onepass.errors import BadColumn, ForeignModel, ModelNotFound
from onepass.ledger.entries import digest, dump_entry
from onepass.model.directory import open_model


@pytest.fixture
def path(make_lake, tmp_path) -> Path:
    train({"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "model")})
    return tmp_path / "model"


@pytest.fixture
def rows() -> pa.Table:
    return number_table(500, seed=50)


def test_predictions_are_good(path, rows):
    model, y = Model.load(path), rows["y"].to_numpy()
    error = y - model.predict(rows)
    # The noise has a variance of 1.
    assert error.var() < 1.2 < y.var() / 2
    assert (model.version, model.rows) == (7, 2955)


def test_table_frame_and_mapping_give_the_same_predictions(path, rows):
    model = Model.load(path)
    expected = model.predict(rows)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows.to_pydict())
    np.testing.assert_array_equal(model.predict(frame), expected)
    np.testing.assert_array_equal(model.predict(rows.to_pydict()), expected)


def test_order_and_surplus_of_columns_do_not_matter(path, rows):
    model = Model.load(path)
    expected = model.predict(rows)
    other = rows.select(["level", "c", "b", "a"]).append_column("more", pa.nulls(len(rows)))
    np.testing.assert_array_equal(model.predict(other), expected)
    np.testing.assert_array_equal(model.predict(pa.concat_tables([rows, rows]))[500:], expected)


def test_missing_and_mistyped_columns_are_named(path, rows):
    model = Model.load(path)
    with pytest.raises(BadColumn, match=r"column 'b'.*missing"):
        model.predict(rows.drop_columns("b"))
    with pytest.raises(BadColumn, match=r"column 'b'.*found type string"):
        model.predict(rows.set_column(1, "b", pa.array(["x"] * len(rows))))


def test_folders_of_the_lake_are_columns_of_the_rows(make_lake, tmp_path):
    lake = make_lake(4)
    for i in range(4):
        folder = lake / f"shift={i}"
        folder.mkdir()
        table = pq.read_table(lake / f"part-{i}.parquet")
        shifted = pa.array(table["y"].to_numpy() + 10.0 * i)
        pq.write_table(table.set_column(4, "y", shifted), folder / "part.parquet")
        (lake / f"part-{i}.parquet").unlink()
    job = {"lake": str(lake), "label": "y", "model": str(tmp_path / "m"), "clip": False}
    train(job | {"numeric": ["shift"]})
    model, rows = Model.load(tmp_path / "m"), number_table(200, seed=9)
    low, high = (model.predict(rows.append_column("shift", pa.array([s] * 200))) for s in (0, 3))
    np.testing.assert_allclose(high - low, 30, atol=0.5)


def test_weights_reproduce_the_predictions(path, rows):
    model = Model.load(path)
    names = model.file.encoder.feature_names()
    (weights,) = model.weights
    assert len(weights.dense) == len(names) == len(weights.covariance) - 1
    np.testing.assert_allclose(
        model.predict(rows), model.features(rows) @ weights.dense + weights.intercept, rtol=1e-5
    )
    assert repr(model) == f"<Model {path}: newton, squared loss of 'y', version 7>"


def test_no_model_and_an_untrained_one_are_told_apart(make_lake, tmp_path):
    with pytest.raises(ModelNotFound, match="create one with"):
        Model.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelNotFound, match="create one with"):
        Model.load(tmp_path / "file")
    plan({"lake": str(make_lake(2)), "label": "y", "model": str(tmp_path / "model")})
    with pytest.raises(ModelNotFound, match="train it first"):
        Model.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[]", "expected a model of format 1"),
        (b'{"format": 2}', "expected a model of format 1, found 2"),
        (b'{"format": 1, "id": "x"}', "damaged"),
    ],
)
def test_unsound_model_file_is_refused(path, content, says):
    (path / "model.json").write_bytes(content)
    with pytest.raises(ForeignModel, match=says):
        Model.load(path)


def test_state_of_another_shape_is_not_used(make_lake, path, tmp_path, caplog):
    job = {"lake": str(make_lake()), "label": "y", "exclude": ["a"], "model": str(tmp_path / "m")}
    train(job)
    foreign = (tmp_path / "m").joinpath(
        open_model(tmp_path / "m").ledger.history.trained()[-1].state.key
    )
    newest = open_model(path).ledger.entries[-1]
    (path / newest.state.key).write_bytes(foreign.read_bytes())
    entry = path / f"log/{newest.version:020d}.json"
    data = foreign.read_bytes()
    state = newest.state.model_copy(update={"sha256": digest(data), "size": len(data)})
    entry.write_bytes(dump_entry(newest.model_copy(update={"state": state})))
    assert Model.load(path).version == newest.version - 1
    assert f"{newest.state.key} does not fit the model" in caplog.text


def test_reader_beside_a_writer_catches_up_and_takes_the_newest(path, rows, make_lake, monkeypatch):
    from onepass.ledger.ledger import Ledger

    read_state = Ledger.read_state
    lake = make_lake()

    def train_first(ledger, entry):
        # Between the reader's look at the log and at the state, the writer commits four versions.
        monkeypatch.setattr(Ledger, "read_state", read_state)
        for i in range(4):
            pq.write_table(number_table(40, seed=60 + i), lake / f"more-{i}.parquet")
        train({"model": str(path)})
        return read_state(ledger, entry)

    monkeypatch.setattr(Ledger, "read_state", train_first)
    model = Model.load(path)
    assert model.version == open_model(path).ledger.version == 12


def test_record_batch_is_taken_and_other_things_are_named(path, rows):
    model = Model.load(path)
    (batch,) = rows.combine_chunks().to_batches()
    np.testing.assert_array_equal(model.predict(batch), model.predict(rows))
    for wrong in ("rows.parquet", None, [{"a": 1}], {"a": 1}, {"a": [1], "b": [1, 2]}):
        with pytest.raises(TypeError, match=f"found {type(wrong).__name__}"):
            model.predict(wrong)


@pytest.fixture
def nested(tmp_path) -> tuple[Model, pa.Table]:
    """A model of a struct in a struct and of maps, with its rows."""
    pick = np.random.default_rng(9)
    x, k = pick.normal(size=600), pick.integers(0, 5, 600)
    struct = [None if i % 9 == 0 else {"x": x[i], "in": {"k": f"k{k[i]}"}} for i in range(600)]
    table = pa.table(
        {
            "s": pa.array(struct),
            "from": pa.array([[(f"w{j}", 0.5 + j)] for j in k], pa.map_(pa.string(), pa.float64())),
            "by": pa.array([[(int(j), 2.0)] for j in k], pa.map_(pa.int64(), pa.float64())),
            "y": x + k,
        }
    )
    (tmp_path / "lake").mkdir()
    pq.write_table(table, tmp_path / "lake" / "a.parquet")
    train({"lake": str(tmp_path / "lake"), "label": "y", "model": str(tmp_path / "model")})
    return Model.load(tmp_path / "model"), table


def test_a_struct_is_read_as_its_fields(nested):
    model, rows = nested
    expected = model.predict(rows)
    assert np.square(rows["y"].to_numpy() - expected).mean() < 0.3 * rows["y"].to_numpy().var()
    flat = rows.flatten().flatten()
    assert "s.in.k" in flat.column_names
    np.testing.assert_array_equal(model.predict(flat), expected)
    np.testing.assert_array_equal(model.predict(rows.slice(7, 50)), expected[7:57])


def test_frames_and_mappings_may_have_structs_and_maps(nested):
    pandas = pytest.importorskip("pandas")
    model, rows = nested
    expected = model.predict(rows)
    np.testing.assert_array_equal(model.predict(rows.to_pydict()), expected)
    np.testing.assert_array_equal(model.predict(rows.to_pandas()), expected)
    frame = pandas.DataFrame([row | {"from": dict(row["from"])} for row in rows.to_pylist()])
    np.testing.assert_array_equal(model.predict(frame), expected)
