"""Heavy tails are curbed where the labels say so, and nowhere else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.target import label_target
from onepass.survey.choice import Choice
from onepass.survey.label import profile_label
from onepass.survey.lines import outcome
from onepass.survey.profile import profile_columns
from onepass.survey.tails import curb_tails

N = 20_000


def columns():
    rng = np.random.default_rng(0)
    return {
        "normal": rng.normal(size=N),
        "t(3)": rng.standard_t(3, N),
        "lognormal": rng.lognormal(size=N),
        "counts": rng.poisson(1, N).astype(float),
        "rare": np.where(rng.random(N) < 0.003, 9 * rng.lognormal(size=N), 0.0),
        "binary": (rng.random(N) < 0.01).astype(float),
        "pareto": 1000 * (1 + rng.pareto(1.2, N)),
    }


def read(x, y, tails="auto", loss="auto"):
    table = pa.table({"x": x, "y": y})
    profiles = profile_columns(table, {}, Choice(), skip={"y"})
    label = profile_label("y", table["y"].combine_chunks(), loss)
    labels = outcome(label_target(table["y"].combine_chunks(), label.label), label.loss)
    (profile,), warnings = curb_tails(profiles, table, labels, tails)
    return profile.use, warnings


@pytest.mark.parametrize("name", columns())
@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson"])
def test_column_that_the_labels_follow_linearly_is_kept(name, loss):
    rng, x = np.random.default_rng(1), columns()[name]
    z = (x - x.mean()) / x.std()
    y = {
        "squared": lambda: z + 3 * rng.normal(size=N),
        "logistic": lambda: (z + rng.logistic(size=N) > 0).astype(int),
        "poisson": lambda: rng.poisson(np.exp(0.05 * z)),
    }[loss]()
    use, warnings = read(x, y, loss=loss)
    assert not use.is_curbed
    assert not warnings


@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax", "huber", "poisson"])
def test_amounts_whose_order_counts_are_read_as_logarithms_or_clipped(loss):
    rng, x = np.random.default_rng(1), columns()["pareto"]
    rank = np.argsort(np.argsort(x)) / N
    y = {
        "squared": lambda: rank + 0.5 * rng.normal(size=N),
        "huber": lambda: rank + 0.5 * rng.standard_t(1.8, N),
        "logistic": lambda: (4 * rank - 2 + rng.logistic(size=N) > 0).astype(int),
        "softmax": lambda: np.digitize(rank + 0.3 * rng.normal(size=N), [0.3, 0.6]),
        "poisson": lambda: rng.poisson(np.exp(rank)),
    }[loss]()
    use, (warning,) = read(x, y, loss=loss)
    assert use.is_curbed
    assert warning.startswith("x: ")
    assert "--tails keep" in warning


@pytest.mark.parametrize("share", [0.001, 0.03])
def test_sentinel_is_clipped_to_the_usual_values(share):
    rng = np.random.default_rng(2)
    x = rng.normal(size=N)
    y = x + rng.normal(size=N)
    use, _ = read(np.where(rng.random(N) < share, 9_999_999.0, x), y)
    assert 1.5 < use.high < 3.5
    assert use.low is None
    assert use.scale == pytest.approx(1, rel=0.15)


def test_absurd_value_is_clipped_even_if_the_label_does_not_depend_on_the_column():
    rng = np.random.default_rng(3)
    x = rng.normal(size=N)
    x[7] = -1e300
    use, _ = read(x, rng.normal(size=N))
    assert -3.5 < use.low < -2
    assert use.high is None


def test_user_decides_by_the_tail_alone():
    x, y = columns()["pareto"], np.random.default_rng(4).normal(size=N)
    assert not read(x, y)[0].is_curbed
    assert not read(x, y, "keep")[0].is_curbed
    assert read(x, y, "clip")[0].high == pytest.approx(np.quantile(x, 0.995), rel=0.01)
    assert read(x, y, "log")[0].log_unit is not None
    for name in ("normal", "counts", "rare", "binary"):
        assert not read(columns()[name], y, "clip")[0].is_curbed
    assert not read(x[:150], y[:150], "clip")[0].is_curbed


@pytest.mark.parametrize("values", [[1.7e308, -1.7e308], [np.nan, np.inf], [5e-324, 0, 1e308]])
def test_extreme_values_neither_fail_nor_warn(values):
    x = np.resize(values, N)
    for tails in ("auto", "clip", "log"):
        use, _ = read(x, np.random.default_rng(0).normal(size=N), tails)
        assert np.isfinite([use.center, use.scale]).all()
