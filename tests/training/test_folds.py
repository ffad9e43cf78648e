"""Cross-validation of a training: which rows are in which fold, and what survives a run."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LinearRegression

from lakes import number_table
from onepass import Model
from onepass.actions.summary import summarise
from onepass.encode.folds import row_folds
from onepass.errors import BadPartition, JobError
from onepass.lake.discover import discover
from onepass.lake.footer import read_footer
from onepass.lake.order import random_numbers
from onepass.model.directory import open_model
from small import plan, train, train_pending


@pytest.fixture
def lake(tmp_path):
    """Four files with the text column 'shop', which is a dictionary in the last one."""
    folder = tmp_path / "lake"
    folder.mkdir()
    for i in range(4):
        table = number_table(500, seed=i).select(["a", "b", "y"])
        shops = pa.array(np.random.default_rng(i).integers(0, 40, 500).astype(str))
        table = table.append_column("shop", shops.dictionary_encode() if i == 3 else shops)
        pq.write_table(table, folder / f"part-{i}.parquet", row_group_size=150)
    return folder


@pytest.fixture
def job(lake, tmp_path):
    return {
        "lake": str(lake),
        "label": "y",
        "model": str(tmp_path / "model"),
        "folds": 3,
        "features": ["a", "b"],
        "tails": "keep",
    }


def elsewhere(job, name):
    return job | {"model": job["model"] + name}


def losses(job, **given):
    (found,) = train(job | given).cross_validation
    return found.fold_losses


def by_refitting(job, fold_of):
    """Losses of folds by fits of the model's own features without each fold."""
    x, y, fold = [], [], []
    for file in discover(job["lake"]):
        table = pq.read_table(f"{job['lake']}/{file.key}")
        x.append(Model.load(job["model"]).features(table).astype(float))
        y.append(table["y"].to_numpy())
        fold.append(fold_of(file, table))
    x, y, fold = map(np.concatenate, (x, y, fold))
    x, y, fold = x[np.isfinite(y)], y[np.isfinite(y)], fold[np.isfinite(y)]
    found = []
    for k in range(job["folds"]):
        fit = LinearRegression().fit(x[fold != k], y[fold != k])
        found.append(np.square(fit.predict(x[fold == k]) - y[fold == k]).mean())
    return found


def by_place(file, _):
    numbers = [
        random_numbers(n, 0, "fold", file.key, group)
        for group, n in enumerate(read_footer(file).row_group_rows())
    ]
    return np.concatenate(numbers) % np.uint64(3)


def test_places_of_rows_decide_their_folds_in_any_order_and_epoch(job):
    expected = None
    for number, given in enumerate([{}, {"order": "stored"}, {"epochs": 2}, {"interleave": 3}]):
        own = elsewhere(job, str(number)) | given
        found = losses(own)
        expected = expected or by_refitting(own, by_place)
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=str(given))


def test_rows_of_one_value_are_in_one_fold_however_files_store_it(job):
    found = losses(job | {"fold_by": "shop"})
    names = [str(i) for i in range(40)]
    by_shop = dict(zip(names, row_folds(pa.array(names), "shop", 3), strict=True))
    assert set(by_shop.values()) == {0, 1, 2}

    def fold_of(_, table):
        return np.array([by_shop[shop] for shop in table["shop"].to_pylist()])

    np.testing.assert_allclose(found, by_refitting(job, fold_of), rtol=1e-6)


def test_the_column_of_folds_is_no_feature_and_may_tell_clusters_too(job):
    own = job | {"fold_by": "shop", "cluster": "shop", "features": []}
    train(own)
    assert not any("shop" in name for name in open_model(job["model"]).file.encoder.feature_names())


def test_a_training_in_parts_gives_the_same_bytes_and_cross_validation(job):
    for given in ({}, {"loss": "huber"}):
        whole = train(elsewhere(job, f"whole{len(given)}") | given)
        parts = elsewhere(job, f"parts{len(given)}") | given
        plan(parts)
        while (last := train_pending(parts, max_seconds=0)).pending:
            pass
        assert last.state_sha256 == whole.state_sha256
        assert last.cross_validation == whole.cross_validation


def test_rounds_of_several_partitions_give_the_same_cross_validation(job):
    alone = losses(job, parallel=1)
    np.testing.assert_allclose(losses(elsewhere(job, "b"), parallel=4), alone, rtol=1e-9)


def test_summary_tells_the_cross_validation_of_the_version(job):
    report = train(job)
    assert summarise(Model.load(job["model"])).cross_validation == report.cross_validation
    assert train({"model": job["model"]}).cross_validation == report.cross_validation


def test_a_model_without_folds_has_no_cross_validation(job):
    assert train(job | {"folds": 0}).cross_validation == []


HELD = [
    ("l1", 0.1, "l1"),
    ("penalty_factor", "a=2", "penalty-factor"),
    ("constraint", "a=positive", "constraint"),
    ("prior", "/models/old", "prior"),
]
"""Penalties other than ridge, with the flags of their fields."""


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"solver": "nag"}, "needs the curvature that only newton keeps"),
        ({"loss": "quantile"}, "cannot be used with quantile loss, which"),
        ({"categorical": ["shop"], "features": []}, r"cannot be used with hashed columns \(shop\)"),
        *(({name: given}, f"cannot be used with --{flag}: weights") for name, given, flag in HELD),
    ],
    ids=str,
)
def test_what_no_quadratic_of_dense_weights_tells_is_refused(job, lake, given, why):
    for i in range(4):
        table = pq.read_table(lake / f"part-{i}.parquet")
        names = [f"{name}-{n}" for n, name in enumerate(table["shop"].to_pylist())]
        table = table.set_column(3, "shop", pa.array(names))
        pq.write_table(table, lake / f"part-{i}.parquet")
    with pytest.raises(JobError, match=f"--folds {why}") as caught:
        train(job | given)
    assert "compare models on a --holdout" in str(caught.value)


def test_a_row_without_a_value_to_fold_by_is_an_error(job, lake):
    table = pq.read_table(lake / "part-1.parquet")
    table = table.set_column(3, "shop", pa.array([None] * 9 + ["x"] * (table.num_rows - 9)))
    pq.write_table(table, lake / "part-1.parquet")
    with pytest.raises(BadPartition, match=r"9 of \d+ rows have no value, by which --fold-by"):
        train(job | {"fold_by": "shop"})
