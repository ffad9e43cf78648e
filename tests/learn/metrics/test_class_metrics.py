"""Metrics of classes agree with scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from measured import CLASSES, N_ROWS, accumulated, rows
from onepass.learn.metrics import make_metrics


def test_binary_metrics_are_scikit_learns():
    p, y, weight = rows("logistic")
    found = accumulated("logistic", p, y, weight)
    assert found.loss() == pytest.approx(sk.log_loss(y, p, sample_weight=weight), rel=1e-12)
    values = found.values()
    auc = sk.roc_auc_score(y, p, sample_weight=weight)
    assert abs(values["auc"] - auc) <= values["auc_error"] + 1e-12
    assert 0 < values["auc_error"] < 1e-3
    accuracy = sk.accuracy_score(y, p > 0.5, sample_weight=weight)
    assert values["accuracy"] == pytest.approx(accuracy, rel=1e-12)
    brier = sk.brier_score_loss(y, p, sample_weight=weight)
    assert values["brier"] == pytest.approx(brier, rel=1e-12)
    assert values["positive"] == pytest.approx(np.average(y, weights=weight))


def test_calibration_table_is_that_of_the_rows_between_its_edges():
    p, y, weight = rows("logistic", seed=2)
    found = accumulated("logistic", p, y, weight)
    table = found.tables()["calibration"]
    assert len(table) == 10
    gaps = []
    for row in table:
        inside = (p >= row["from"]) & (p < row["to"])
        assert row["weight"] == pytest.approx(weight[inside].sum())
        assert row["weight"] == pytest.approx(weight.sum() / 10, rel=0.05)
        mean, share = (np.average(a[inside], weights=weight[inside]) for a in (p, y))
        assert row["prediction"] == pytest.approx(mean)
        assert row["positive"] == pytest.approx(share)
        gaps.append(row["weight"] * abs(mean - share))
    error = found.values()["calibration_error"]
    assert error == pytest.approx(sum(gaps) / weight.sum())
    assert error < 0.03 < accumulated("logistic", p**2, y, weight).values()["calibration_error"]


@pytest.mark.parametrize("p", [0.0, 0.013, 0.5, 1.0])
def test_calibration_of_equal_predictions_is_one_group(p):
    y = (np.arange(N_ROWS) % 4 == 0).astype(float)
    found = accumulated("logistic", np.full(N_ROWS, p), y, np.ones(N_ROWS))
    (row,) = found.tables()["calibration"]
    assert row["from"] <= p <= row["to"]
    assert (row["prediction"], row["positive"]) == (pytest.approx(p), 0.25)
    assert found.values()["calibration_error"] == pytest.approx(abs(p - 0.25))


def test_rare_positives_are_calibrated_in_groups_of_their_own_range():
    rng = np.random.default_rng(5)
    p = np.exp(rng.normal(-6, 1, 200_000))
    y = (rng.random(200_000) < p).astype(float)
    table = accumulated("logistic", p, y, np.ones(200_000)).tables()["calibration"]
    assert len(table) == 10
    assert [row["to"] for row in table][:-1] == [row["from"] for row in table][1:]
    assert all(row["positive"] == pytest.approx(row["prediction"], rel=0.5) for row in table[2:])


def test_auc_error_bounds_the_error_when_predictions_crowd_in_few_bins():
    p, y, weight = rows("logistic", seed=2)
    crowded = 0.5 + (p - 0.5) * 0.02
    values = accumulated("logistic", crowded, y, weight).values()
    error = abs(values["auc"] - sk.roc_auc_score(y, crowded, sample_weight=weight))
    assert 1e-6 < error <= values["auc_error"]


def test_certain_predictions_have_finite_loss():
    y = np.array([0.0, 1.0, 0.0, 1.0])
    right = accumulated("logistic", y, y, np.ones(4)).values()
    assert right["log_loss"] < 1e-14
    assert (right["auc"], right["accuracy"], right["brier"]) == (1.0, 1.0, 0.0)
    wrong = accumulated("logistic", 1 - y, y, np.ones(4)).values()
    assert 30 < wrong["log_loss"] < 40
    assert (wrong["auc"], wrong["accuracy"], wrong["brier"]) == (0.0, 0.0, 1.0)
    sure = accumulated("softmax", np.eye(4)[[1, 2, 3, 0]], np.arange(4.0), np.ones(4)).values()
    assert 30 < sure["log_loss"] < 40
    assert sure["brier"] == 2


def test_constant_predictions_have_auc_one_half():
    _, y, weight = rows("logistic", seed=6)
    for p in (0.0, 0.2, 1.0):
        values = accumulated("logistic", np.full(N_ROWS, p), y, weight).values()
        assert values["auc"] == values["auc_error"] == pytest.approx(0.5)


@pytest.mark.parametrize("case", ["logistic", "hinge"])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_one_class_alone_has_no_auc_and_nothing_to_gain(case, y):
    p = rows(case, seed=7)[0]
    values = accumulated(case, p, np.full(N_ROWS, y), np.full(N_ROWS, 0.1)).values()
    assert math.isnan(values["auc"])
    assert values["constant_loss"] == pytest.approx(0.0, abs=1e-12)


def test_hinge_metrics_are_scikit_learns():
    z, y, weight = rows("hinge")
    found = accumulated("hinge", z, y, weight)
    expected = sk.hinge_loss(y, z, sample_weight=weight)
    assert found.loss() == found.values()["hinge"] == pytest.approx(expected, rel=1e-12)
    values = found.values()
    accuracy = sk.accuracy_score(y, z > 0, sample_weight=weight)
    assert values["accuracy"] == pytest.approx(accuracy, rel=1e-12)
    auc = sk.roc_auc_score(y, z, sample_weight=weight)
    assert abs(values["auc"] - auc) <= values["auc_error"] < 1e-3
    far = accumulated("hinge", z * 1e6, y, weight).values()
    assert abs(far["auc"] - auc) <= far["auc_error"]


def test_metrics_of_several_classes_are_scikit_learns():
    p, y, weight = rows("softmax")
    found = accumulated("softmax", p, y, weight)
    names = range(len(CLASSES))
    expected = sk.log_loss(y, p, sample_weight=weight, labels=names)
    assert found.loss() == pytest.approx(expected, rel=1e-9)
    values = found.values()
    chosen, present = p.argmax(axis=1), [0, 1, 2]
    given = {"sample_weight": weight, "labels": present, "average": "macro"}
    assert values["macro_recall"] == pytest.approx(sk.recall_score(y, chosen, **given))
    assert values["macro_precision"] == pytest.approx(sk.precision_score(y, chosen, **given))
    accuracy = sk.accuracy_score(y, chosen, sample_weight=weight)
    assert values["accuracy"] == pytest.approx(accuracy, rel=1e-12)
    assert values["brier"] == pytest.approx(
        np.average(((p - np.eye(4)[y.astype(int)]) ** 2).sum(axis=1), weights=weight)
    )
    share = np.bincount(y.astype(int), weight, 4) / weight.sum()
    assert found.constant_loss() == pytest.approx(-sum(s * math.log(s) for s in share if s))


def test_table_of_classes_is_scikit_learns():
    p, y, weight = rows("softmax", seed=2)
    table = accumulated("softmax", p, y, weight).tables()["classes"]
    assert [row["class"] for row in table] == list(CLASSES)
    chosen = p.argmax(axis=1)
    given = {"sample_weight": weight, "labels": [0, 1, 2], "average": None}
    assert [row["recall"] for row in table[:3]] == pytest.approx(
        sk.recall_score(y, chosen, **given)
    )
    precision = sk.precision_score(y, chosen, **given)
    assert [row["precision"] for row in table[:3]] == pytest.approx(precision)
    for k, row in enumerate(table[:3]):
        own = y == k
        assert row["share"] == pytest.approx(weight[own].sum() / weight.sum())
        nll = np.average(-np.log(p[own, k]), weights=weight[own])
        assert row["log_loss"] == pytest.approx(nll)
    never = table[3]
    assert never["share"] == 0
    assert math.isnan(never["recall"])
    assert math.isnan(never["precision"])


def test_thousand_classes_fit_in_little_memory():
    classes = [str(k) for k in range(1000)]
    found = make_metrics("softmax", classes=classes)
    p = np.full((2000, 1000), 1e-3)
    found.add(p, np.arange(2000.0) % 1000, np.ones(2000))
    assert found.loss() == pytest.approx(math.log(1000))
    assert found.constant_loss() == pytest.approx(math.log(1000))
    assert found.per_class.nbytes + found.sums.nbytes < 100_000
