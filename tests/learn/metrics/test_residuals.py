"""The sample of residuals: exact on few rows, uniform on many, the same in any order."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.learn.metrics.residuals import MOST_ROWS, Residuals


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    prediction = rng.gamma(2.0, 3.0, n)
    return prediction, prediction + rng.normal(1.0, 2.0, n), rng.integers(1, 4, n).astype(float)


def in_blocks(size: int, *columns: np.ndarray) -> Residuals:
    total = Residuals()
    for start in range(0, len(columns[0]), size):
        one = Residuals()
        one.add(*(column[start : start + size] for column in columns))
        total.merge(one)
    return total


def test_tenths_of_few_rows_are_exact():
    prediction, label, _ = rows(1000)
    found = in_blocks(70, prediction, label, np.ones(1000)).tenths()
    order = np.argsort(prediction)
    assert [one["rows"] for one in found] == [100] * 10
    for i, one in enumerate(found):
        own = order[100 * i : 100 * (i + 1)]
        residual = np.sort(label[own] - prediction[own])
        assert (one["from"], one["to"]) == (prediction[own].min(), prediction[own].max())
        assert one["label"] == pytest.approx(label[own].mean())
        assert [one[f"q{q:02d}"] for q in (5, 25, 50, 75, 95)] == [
            residual[q - 1] for q in (5, 25, 50, 75, 95)
        ]


def test_a_weight_counts_as_so_many_rows():
    prediction, label, weight = rows(2000)
    repeated = [np.repeat(column, weight.astype(int)) for column in (prediction, label)]
    found = in_blocks(500, prediction, label, weight).tenths()
    expected = in_blocks(500, *repeated, np.ones(len(repeated[0]))).tenths()
    for one, other in zip(found, expected, strict=True):
        assert one["label"] == pytest.approx(other["label"], abs=0.05)
        assert one["q50"] == pytest.approx(other["q50"], abs=0.05)


def test_the_sample_of_many_rows_is_bounded_and_uniform():
    prediction, label, _ = rows(10 * MOST_ROWS)
    total = in_blocks(4096, prediction, label, np.ones(len(label)))
    found = total.tenths()
    assert total.n_rows == 10 * MOST_ROWS
    assert sum(one["rows"] for one in found) == MOST_ROWS
    for one in found:
        # The 5 % quantile of N(1, 2), with four standard errors of a sample of 3,277.
        assert one["q05"] == pytest.approx(1 - 2 * 1.645, abs=0.3)
        assert one["q50"] == pytest.approx(1.0, abs=0.18)
    assert found[0]["to"] == pytest.approx(np.quantile(prediction, 0.1), rel=0.05)


def test_the_order_of_blocks_does_not_change_the_sample():
    blocks = [rows(9000, seed) for seed in range(8)]
    forwards, backwards = Residuals(), Residuals()
    for total, order in ((forwards, blocks), (backwards, blocks[::-1])):
        for block in order:
            total.add(*block)
    for one, other in zip(forwards.tenths(), backwards.tenths(), strict=True):
        assert one == pytest.approx(other)


def test_no_row_makes_no_tenth_and_an_infinite_prediction_is_left_out():
    total = Residuals()
    assert total.tenths() == []
    total.add(np.array([1.0, np.inf]), np.array([2.0, 2.0]), np.ones(2))
    assert [(one["rows"], one["q50"]) for one in total.tenths()] == [(1, 1.0)]
