"""Drift of the label over a file is noticed, and chance is not."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.survey.row_order import drift_within

N = 20_000


def labels(kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return {
        "normal": rng.normal(size=N),
        "heavy tails": rng.standard_cauchy(N),
        "huge": 1e300 * rng.normal(size=N),
        "1 % positives": (rng.random(N) < 0.01).astype(float),
        "counts": rng.poisson(0.5, N).astype(float),
        "7 classes": rng.integers(0, 7, N).astype(float),
        "partly null": np.where(rng.random(N) < 0.3, np.nan, rng.normal(size=N)),
    }[kind]


KINDS = ["normal", "heavy tails", "huge", "1 % positives", "counts", "7 classes", "partly null"]


def drift(target: np.ndarray, n_files: int = 4, n_stretches: int = 100) -> float:
    file, stretch = (np.arange(N) * n // N for n in (n_files, n_stretches))
    return drift_within(target, file, stretch, classes=len(np.unique(target)) == 7)


@pytest.mark.parametrize("kind", KINDS)
def test_chance_is_no_drift_however_many_stretches_there_are(kind):
    for seed in range(4):
        for n_files, n_stretches in ((1, 2), (1, 60), (4, 100), (32, 2000)):
            assert drift(labels(kind, seed), n_files, n_stretches) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_label_sorted_within_files_is_noticed(kind):
    parts = np.array_split(labels(kind, 0), 4)
    assert drift(np.concatenate([np.sort(part) for part in parts])) > 0.2


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "counts"])
def test_slow_drift_and_waves_of_rows_are_noticed(kind):
    rng, past = np.random.default_rng(1), np.arange(N) / N
    target = labels(kind, 0)
    low = np.minimum(target, np.quantile(target, 0.3))
    assert 0 < drift(np.where(rng.random(N) < past, target, low), 1, 40) < 0.25
    assert 0 < drift(np.where(rng.random(N) < (30 * past) % 1, target, low), 1) < 0.25


def test_files_that_differ_from_each_other_do_not_drift():
    file = np.arange(N) * 4 // N
    assert drift(labels("normal", 0) + 10 * file) == 0


def test_label_without_variance_or_stretches_does_not_drift():
    assert drift(np.ones(N)) == 0
    assert drift(np.full(N, np.nan)) == 0
    assert drift(np.sort(labels("normal", 0)), 4, 4) == 0
