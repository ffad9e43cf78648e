"""Absurd numbers: an error that names them, or a counted treatment; never a model of NaN.

Newton learns every loss, and without ``REPEAT`` two of the other solvers do.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import train
from onepass.errors import BadPartition, Diverged
from onepass.model.directory import open_model
from onepass.model.model import Model

N = 300
POSITIVE = {"gamma", "inverse_gaussian"}
LOG_LINK = {"poisson", "tweedie", "negative_binomial"} | POSITIVE
CLASSES = {"logistic", "probit", "cloglog", "hinge"}
LOSSES = ("squared", "huber", "quantile", "softmax", *sorted(LOG_LINK), *sorted(CLASSES))
SOLVERS = ("newton", "sgd", "adagrad", "nag", "adam", "ftrl", "dog")
REPEAT = int(os.environ.get("REPEAT", "1"))


def losses_of(solver: str) -> tuple[str, ...]:
    """Losses that a solver has to learn here."""
    is_whole = solver == "newton" or REPEAT > 1
    return LOSSES if is_whole else LOSSES[SOLVERS.index(solver) % 3 :: 3]


def rows(seed: int, loss: str = "squared", **changed: Any) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=N)
    label = x + 0.3 * rng.normal(size=N)
    if loss in LOG_LINK:
        label = np.floor(np.exp(label)) + (loss in POSITIVE)
    elif loss in CLASSES:
        label = (label > 0).astype(float)
    elif loss == "softmax":
        label = np.digitize(label, [-0.5, 0.5]).astype(float)
    columns = {"x": x, "z": 5 * rng.normal(size=N) + 3, "y": label, "w": np.ones(N)}
    return pa.table(columns | {name: of(columns[name]) for name, of in changed.items()})


def some(*values: float) -> Any:
    """Put each value in two rows of a column."""

    def change(column: np.ndarray) -> np.ndarray:
        changed = column.astype(float)
        for i, value in enumerate(values):
            changed[[7 + 11 * i, 200 - 11 * i]] = value
        return changed

    return change


ABSURD = {
    "features": {"x": some(np.inf, -np.inf, np.nan, 1e300, -1e308, 5e-324)},
    "outliers": {"x": some(1e6, -1e9, 3e38), "z": some(1e12)},
    "labels": {"y": some(1e90)},
    "weights": {"w": some(1e14, 0.0, 1e-90)},
    "impossible weights": {"w": some(1e300)},
    "impossible labels": {"y": some(1e300)},
}


@pytest.fixture
def lake(tmp_path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


def job(lake: Path, **fields: Any) -> dict[str, Any]:
    name = "-".join(str(value) for value in fields.values())
    model = str(lake.parent / f"model-{name}")
    common = {"lake": str(lake), "label": "y", "weight": "w", "model": model, "order": "stored"}
    return common | fields


def arrays(model: str) -> dict[str, np.ndarray]:
    """The newest state."""
    ledger = open_model(model).ledger
    with np.load(io.BytesIO(ledger.read_state(ledger.history.trained()[-1]))) as state:
        return {name: state[name] for name in state.files}


def check_finite(model: str) -> None:
    for name, array in arrays(model).items():
        assert array.dtype.kind != "f" or np.isfinite(array).all(), name


def error_of(model: str) -> BadPartition | Diverged | None:
    """Train what is new, one partition; return what comes of it."""
    try:
        assert train({"model": model}).partitions == 1
    except (BadPartition, Diverged) as error:
        return error
    return None


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_absurd_number_makes_a_model_of_nan_or_costs_what_was_committed(lake, solver):
    for loss in losses_of(solver):
        for path in lake.iterdir():
            path.unlink()
        pq.write_table(rows(0, loss), lake / "a.parquet")
        given = job(lake, solver=solver, loss=loss)
        train(given)
        for i, (kind, changes) in enumerate(ABSURD.items()):
            if "labels" in kind and loss in {"softmax", *CLASSES}:
                continue
            before = open_model(given["model"]).ledger.history.trained()
            pq.write_table(rows(1 + i, loss, **changes), lake / f"b{i}.parquet")
            error = error_of(given["model"])
            assert error is None or kind != "features", error
            assert isinstance(error, BadPartition) == ("impossible" in kind), error
            if error is not None:
                assert open_model(given["model"]).ledger.history.trained() == before
                (lake / f"b{i}.parquet").unlink()
                train({"model": given["model"], "on_bad": "skip"})
            check_finite(given["model"])
        predicted = Model.load(given["model"]).predict(rows(99, loss).drop_columns("y"))
        if predicted.dtype.kind == "f" and loss not in LOG_LINK:
            assert np.isfinite(predicted).all()


def test_numbers_that_are_none_are_counted_by_partition(lake):
    pq.write_table(rows(0), lake / "a.parquet")
    given = job(lake)
    train(given)
    pq.write_table(rows(1, x=some(np.inf, np.nan), z=some(-1e300)), lake / "b.parquet")
    null = rows(2).set_column(0, "x", pa.array([None] * 3 + [1.0] * (N - 3)))
    pq.write_table(null, lake / "c.parquet")
    pq.write_table(rows(3, x=some(5e-324, 1e6, 1e-300)), lake / "d.parquet")
    train({"model": given["model"]})
    counts = [entry.counts for entry in open_model(given["model"]).ledger.history.trained()]
    assert counts == [{}, {"non_finite": 6}, {"unexpected_null": 3}, {}]


def test_numbers_that_are_none_are_read_as_the_mean(lake):
    pq.write_table(rows(0, x=some(np.nan)), lake / "a.parquet")
    given = job(lake)
    train(given)
    model = Model.load(given["model"])
    (spec,) = [c for c in model.file.encoder.columns if c.name == "x"]
    assert spec.missing
    table = rows(1).drop_columns("y")
    absurd = [np.nan, np.inf, -np.inf, 1e300, -1e300]
    found = model.predict(table.set_column(0, "x", pa.array(absurd * (N // 5))))
    null = model.predict(table.set_column(0, "x", pa.nulls(N, pa.float64())))
    np.testing.assert_array_equal(found, null)


@pytest.mark.parametrize("exponent", [-300, -40, 40, 300])
def test_columns_of_any_magnitude_are_learnt_as_well_as_those_around_one(lake, exponent):
    """Beyond what float32 holds, too: they are centred and scaled before they are rounded."""
    given = job(lake)
    for i in range(2):
        pq.write_table(rows(i, x=lambda x: x * 10.0**exponent), lake / f"{i}.parquet")
    train(given)
    unseen = rows(9, x=lambda x: x * 10.0**exponent)
    error = Model.load(given["model"]).predict(unseen.drop_columns("y")) - unseen["y"].to_numpy()
    assert error.std() < 0.35
    check_finite(given["model"])
    assert all(entry.counts == {} for entry in open_model(given["model"]).ledger.history.trained())


def test_integers_beyond_2_to_the_53_are_read_to_float64_and_as_ids_exactly(lake):
    start = 2**53
    big = pa.array(start + (np.arange(N) % 4), pa.int64())
    table = rows(0).append_column("shop_id", big).append_column("big", big)
    label = pa.array((np.arange(N) % 4 == 1).astype(float))
    pq.write_table(table.set_column(2, "y", label), lake / "a.parquet")
    given = job(lake, numeric=["big"], exclude=["x", "z"], loss="squared")
    train(given)
    schema = open_model(given["model"]).file.encoder
    (levels,) = [c.levels for c in schema.columns if c.name == "shop_id"]
    assert sorted(levels) == [str(start + i) for i in range(4)]
    # As a number 2^53 + 1 is 2^53, so only the id can tell them apart.
    found = Model.load(given["model"]).predict(table.drop_columns("y"))
    np.testing.assert_allclose(found, label.to_numpy(), atol=0.02)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("w", -1.0, "expected weights of at least 0, found -1"),
        ("w", np.nan, "expected weights of at least 0, found nan"),
        ("w", -np.inf, "expected weights of at least 0, found -inf"),
        ("w", np.inf, r"expected weights of at least 0, and of 1e-100 to 1e\+15, found inf"),
        ("w", 1e16, r"of 1e-100 to 1e\+15, found 1e\+16"),
        ("w", 1e-310, r"of 1e-100 to 1e\+15, found 1e-310"),
        ("y", np.inf, "2 labels are infinite"),
        ("y", -np.inf, "2 labels are infinite"),
        ("y", 1e300, r"labels beyond 1e\+100 cannot be squared and summed"),
        ("y", np.nan, "2 of 300 labels are null or NaN"),
    ],
)
def test_labels_and_weights_that_cannot_be_learnt_from_are_named(lake, column, value, reason):
    pq.write_table(rows(0), lake / "a.parquet")
    given = job(lake)
    train(given)
    before = arrays(given["model"])
    pq.write_table(rows(1, **{column: some(value)}), lake / "b.parquet", row_group_size=50)
    with pytest.raises(BadPartition, match=rf"^b.parquet, row group 0, column '{column}'.*"):
        train({"model": given["model"]})
    with pytest.raises(BadPartition, match=reason):
        train({"model": given["model"]})
    assert {n: a.tobytes() for n, a in arrays(given["model"]).items()} == {
        n: a.tobytes() for n, a in before.items()
    }
    report = train({"model": given["model"], "on_bad": "skip"})
    assert (report.partitions, report.skipped) == (0, 1)


@pytest.mark.parametrize("solver", ["newton", "nag", "dog"])
@pytest.mark.parametrize("constant", [0.0, 3.5, -1e-300, 1e60])
def test_labels_that_are_all_equal_are_learnt_as_that_constant(lake, solver, constant):
    for i in range(2):
        table = rows(i, y=lambda y: np.full(len(y), constant))
        pq.write_table(table, lake / f"{i}.parquet")
    given = job(lake, solver=solver, loss="squared")
    report = train(given)
    check_finite(given["model"])
    found = Model.load(given["model"]).predict(rows(9).drop_columns("y"))
    # Centred on the constant, so the error is in units of the label's scale, which is then 1.
    np.testing.assert_allclose(found, constant, rtol=1e-9, atol=1e-9)
    assert report.loss is not None


@pytest.mark.parametrize("solver", ["sgd", "newton"])
def test_divergence_is_told_with_advice_and_loses_no_commit(lake, onepass, solver):
    for i in range(2):
        pq.write_table(rows(i, "poisson"), lake / f"a{i}.parquet")
    given = job(lake, solver=solver, loss="poisson")
    first = train(given)
    pq.write_table(rows(2, "poisson", y=some(1e90, 1e60)), lake / "b.parquet")
    pq.write_table(rows(3, "poisson"), lake / "c.parquet")
    for _ in range(2):
        code, out, err = onepass("train", "--model", given["model"])
        assert (code, out) == (2, "")
        assert ("smaller --learning-rate" if solver == "sgd" else "absurd values") in err
        assert "RuntimeWarning" not in err
        assert "Traceback" not in err
        ledger = open_model(given["model"]).ledger
        assert ledger.history.trained()[-1].state.sha256 == first.state_sha256
    (lake / "b.parquet").unlink()
    report = train({"model": given["model"], "on_bad": "skip"})
    assert (report.partitions, report.skipped) == (1, 1)
    check_finite(given["model"])


def test_state_that_is_not_finite_is_not_committed(lake, monkeypatch):
    """Whatever the learner overlooks: adam and dog did, at weights of 1e300."""
    pq.write_table(rows(0), lake / "a.parquet")
    given = job(lake, solver="adam")
    train(given)
    learner = type(open_model(given["model"]).file.new_state().learner)
    arrays = learner.arrays

    def spoilt(self: Any) -> Any:
        found = dict(arrays(self))
        name = next(name for name, array in found.items() if array.dtype.kind == "f")
        found[name] = np.full_like(found[name], np.nan)
        return found

    monkeypatch.setattr(learner, "arrays", spoilt)
    pq.write_table(rows(1), lake / "b.parquet")
    with pytest.raises(Diverged, match="no longer finite, and is not committed"):
        train({"model": given["model"]})
    assert len(open_model(given["model"]).ledger.history.trained()) == 1


def test_candidate_that_diverges_is_out_and_the_others_are_committed(lake):
    for i in range(2):
        pq.write_table(rows(i), lake / f"{i}.parquet")
    given = job(lake, solver="sgd", learning_rate=[0.01, 1e150])
    report = train(given)
    assert [one.loss is None for one in report.candidates] == [False, True]
    pq.write_table(rows(2), lake / "2.parquet")
    assert train({"model": given["model"]}).partitions == 1
    assert np.isfinite(Model.load(given["model"]).predict(rows(9))).all()


@pytest.mark.parametrize("solver", ["newton", "nag"])
def test_first_partition_without_a_label_is_committed(lake, solver):
    pq.write_table(rows(0, y=lambda y: np.full(len(y), np.nan)), lake / "0.parquet")
    for i in (1, 2):
        pq.write_table(rows(i), lake / f"{i}.parquet")
    given = job(lake, solver=solver, on_null_label="drop")
    report = train(given)
    assert (report.partitions, report.rows) == (3, 2 * N)
    check_finite(given["model"])
