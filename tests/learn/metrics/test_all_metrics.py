"""Metrics of every loss: any split and order, weights, no rows, loss of the best constant."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from measured import CASES, SETTINGS, accumulated, rows
from onepass.learn.metrics import make_metrics

N_ROWS = 3000
SEVERAL = {"softmax", "quantiles"}
"""Cases whose best constant is not one number; they have tests of their own."""

CLOSE = {"huber": 1e-4, "quantile": 1e-3}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("edges", [[1], [1000, 1000, 2999], list(range(1, 200))])
def test_merged_parts_equal_all_at_once_in_any_order(case, edges):
    data = rows(case, seed=3)
    whole = accumulated(case, *data)
    for order in (1, -1):
        parts = accumulated(case, *data, edges, order=order)
        assert parts.n_rows == whole.n_rows == N_ROWS
        assert parts.values() == pytest.approx(whole.values(), rel=1e-9, abs=1e-12)
        assert parts.loss() == pytest.approx(whole.loss(), rel=1e-12)
        for name, table in whole.tables().items():
            for ours, theirs in zip(parts.tables()[name], table, strict=True):
                assert ours.pop("class", "") == theirs.get("class", "")
                numbers = {key: one for key, one in theirs.items() if key != "class"}
                assert ours == pytest.approx(numbers, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("case", CASES)
def test_values_are_flat_finite_numbers_with_the_loss_of_the_constant(case):
    found = accumulated(case, *rows(case))
    assert all(isinstance(v, float) and math.isfinite(v) for v in found.values().values())
    assert found.values()["constant_loss"] == found.constant_loss()
    assert len(found.values()) <= 8
    for table in found.tables().values():
        assert all(type(one) in (float, str) for row in table for one in row.values())


@pytest.mark.parametrize("case", sorted(set(CASES) - SEVERAL))
def test_constant_loss_is_that_of_the_best_constant(case):
    p, y, weight = rows(case, seed=4)
    low, high = (0.001, 0.999) if case == "logistic" else (min(y.min(), -2), y.max() + 2)
    low = max(low, 1e-3) if case in {"poisson", "gamma"} else low

    def loss(constant: float) -> float:
        return accumulated(case, np.full_like(p, constant), y, weight).loss()

    starts = np.linspace(low, high, 30)
    start = starts[np.argmin([loss(c) for c in starts])]
    step = starts[1] - starts[0]
    bounds = (max(low, start - step), min(high, start + step))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9}).fun
    found = accumulated(case, p, y, weight).constant_loss()
    assert found == pytest.approx(best, rel=CLOSE.get(case, 1e-6))
    assert found <= best * (1 + 1e-9)


@pytest.mark.parametrize("case", CASES)
def test_no_rows_are_nan_not_an_error(case):
    loss, settings = SETTINGS[case]
    empty = make_metrics(loss, **settings)
    none = np.empty(0)
    for _ in range(2):
        assert empty.n_rows == 0
        assert math.isnan(empty.loss())
        assert math.isnan(empty.constant_loss())
        assert all(math.isnan(value) for value in empty.values().values())
        assert isinstance(empty.tables(), dict)
        empty.add(none, none, none)
        empty.merge(make_metrics(loss, **settings))
    data = rows(case)
    empty.merge(accumulated(case, *data))
    assert empty.values() == accumulated(case, *data).values()


@pytest.mark.parametrize("case", CASES)
def test_rows_of_weight_zero_do_not_count(case):
    p, y, weight = rows(case, seed=5)
    weight[::2] = 0
    found, expected = (
        accumulated(case, p, y, weight),
        accumulated(case, p[1::2], y[1::2], weight[1::2]),
    )
    assert found.values() == pytest.approx(expected.values(), rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_weights_count_as_repetitions(case):
    p, y, _ = rows(case, seed=6)
    times = np.random.default_rng(7).integers(0, 4, N_ROWS)
    weighted = accumulated(case, p, y, times.astype(float))
    n = int(times.sum())
    repeated = accumulated(case, np.repeat(p, times, axis=0), np.repeat(y, times), np.ones(n))
    assert weighted.values() == pytest.approx(repeated.values(), rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_thousand_parts_drift_by_rounding_only(case):
    part, total = (accumulated(case, *rows(case, seed=8)) for _ in range(2))
    expected = total.values()
    for _ in range(999):
        # The same rows a thousand times over: sums grow, means must not move.
        total.merge(part)
    assert total.n_rows == 1000 * N_ROWS
    assert total.values() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_parts_of_other_settings_are_not_merged():
    pairs = [
        (("squared", {"label_center": 1.0}), ("squared", {"label_center": 2.0})),
        (("huber", {"delta": 1.0}), ("huber", {"delta": 2.0})),
        (("quantile", {"quantiles": (0.5,)}), ("quantile", {"quantiles": (0.9,)})),
        (("softmax", {"classes": ("a", "b")}), ("softmax", {"classes": ("a", "c")})),
        (("logistic", {}), ("hinge", {})),
        (("poisson", {}), ("gamma", {})),
    ]
    for (one, settings), (other, others) in pairs:
        with pytest.raises(AssertionError):
            make_metrics(one, **settings).merge(make_metrics(other, **others))


def test_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="found 'absolute'"):
        make_metrics("absolute")
