"""Codes and quantities: told apart by how the label depends on them."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.survey.levels_or_line import Target, compare

SIZES = [1000, 20_000]


def codes(rng, n, n_values):
    """Codes without an order, whose values differ in their effect on the label."""
    effect = rng.normal(size=n_values)
    values = rng.integers(0, n_values, n)
    return values, effect[values]


def evidence(values, labels, *, nominal=False):
    return compare(np.asarray(values, float), Target(np.asarray(labels, float), nominal=nominal))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("n_values", [5, 12, 40, 90])
def test_codes_with_an_effect_on_a_number_are_told_by_their_levels(n, n_values):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        values, effect = codes(rng, n, n_values)
        found = evidence(values, effect + rng.normal(size=n))
        # With five codes, chance may sort the effects.
        assert found.for_levels or n_values == 5
        assert not found.for_line


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("n_classes", [2, 4, 12])
def test_codes_with_an_effect_on_classes_are_told_by_their_levels(n, n_classes):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 60, n)
    usual = rng.integers(0, n_classes, 60)[values]
    labels = np.where(rng.random(n) < 0.5, usual, rng.integers(0, n_classes, n))
    assert evidence(values, labels, nominal=n_classes > 2).for_levels


QUANTITIES = {
    "no effect": lambda x, noise: noise,
    "straight": lambda x, noise: x + noise,
    "saturating": lambda x, noise: np.log1p(x - x.min()) + noise,
    "one step": lambda x, noise: (x > np.quantile(x, 0.7)) + noise,
    "a valley": lambda x, noise: (x - x.mean()) ** 2 / x.var() + noise,
    "heavy tails": lambda x, noise: np.exp(2 * noise + x / x.max()),
    "counts": lambda x, noise: np.floor(np.exp(0.5 * noise + x / x.max())),
    "a class": lambda x, noise: (x + 2 * x.std() * noise > x.mean()).astype(float),
    "hardly ever": lambda x, noise: (noise > 3.0 - x / x.max()).astype(float),
}


@pytest.mark.parametrize("n", [150, *SIZES])
@pytest.mark.parametrize("effect", QUANTITIES)
def test_ages_years_ratings_and_counts_stay_numbers(n, effect):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        for values in (
            rng.integers(18, 81, n), rng.integers(1990, 2021, n), rng.integers(1, 11, n),
            rng.poisson(3, n), np.floor(rng.gamma(2, 300, n)), rng.integers(0, 4000, n),
        ):  # fmt: skip
            found = evidence(values, QUANTITIES[effect](values.astype(float), rng.normal(size=n)))
            assert found is None or not found.for_levels, (seed, values.max())


def test_classes_that_follow_each_other_along_a_quantity_do_not_make_it_a_code():
    rng = np.random.default_rng(0)
    height = rng.integers(0, 1500, 20_000)
    labels = np.digitize(height + rng.normal(0, 100, len(height)), [300, 600, 1000, 1250])
    assert not evidence(height, labels, nominal=True).for_levels


def test_hours_with_two_peaks_are_levels():
    rng = np.random.default_rng(0)
    hour = rng.integers(0, 24, 5000)
    rush = np.exp(-((hour - 8) ** 2) / 4.0) + np.exp(-((hour - 18) ** 2) / 6.0)
    assert evidence(hour, rush + 0.3 * rng.normal(size=5000)).for_levels


def test_shares_are_those_of_rows_that_were_not_fitted():
    rng = np.random.default_rng(0)
    # As many codes as rows of each half: the means fit the noise that they have seen.
    found = evidence(rng.integers(0, 500, 1000), rng.normal(size=1000))
    assert found.levels < 0.02
    values, effect = codes(rng, 40_000, 30)
    found = evidence(values, effect + rng.normal(size=40_000) * effect.std())
    assert found.levels == pytest.approx(0.5, abs=0.02)


def test_line_beats_levels_of_which_each_has_few_rows():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1500, 2500)
    found = evidence(values, values / 500 + rng.normal(size=2500))
    assert found.for_line
    assert not found.for_levels


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (np.arange(99), np.arange(99)),
        (np.arange(200) % 7, np.full(200, 3.0)),
        (np.full(200, 5), np.arange(200)),
        (np.full(200, np.nan), np.arange(200)),
        (np.arange(200) % 7, np.full(200, np.nan)),
    ],
)
def test_nothing_is_told_of_few_rows_or_a_constant(values, labels):
    assert evidence(values, labels) is None


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_unit_of_label_and_column_does_not_matter(unit):
    rng = np.random.default_rng(0)
    values, effect = codes(rng, 2000, 20)
    labels = effect + rng.normal(size=2000)
    plain, scaled = evidence(values, labels), evidence(values * unit, labels * unit)
    assert scaled.levels == pytest.approx(plain.levels, rel=1e-6)
    assert scaled.line == pytest.approx(plain.line, abs=1e-6)
