"""Powers of the variance are compared by the density of the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from blocks import compound, make_block, split
from learners import settings
from onepass.learn.candidates import Candidates
from onepass.learn.tweedie import log_density, negative_log_likelihoods, profiled

POWERS = (1.2, 1.5, 1.6, 1.7, 1.9)


def drawn(n_rows: int, power: float, unit: float = 1.0, seed: int = 0):
    """Return features and labels whose unit is `unit`, with 60 % zeros or so."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3)).astype(np.float32)
    return x, unit * compound(np.exp(0.2 + x @ [0.5, -0.4, 0.2]), 2.0, power, rng)


def candidates(y: np.ndarray, powers=POWERS, l2=(0.0,)) -> Candidates:
    one = settings(
        loss="tweedie",
        base=float(np.log(y.mean())),
        variation=float(y.std() / y.mean()),
        careful=True,
        by_columns=True,
    )
    return Candidates([replace(one, power=power, l2=own) for own in l2 for power in powers])


def learn(several: Candidates, x: np.ndarray, y: np.ndarray) -> Candidates:
    for block in split(make_block(x, y), 4096):
        several.update(block.take(np.arange(256, block.n_rows)))
        several.judge(block.take(np.arange(min(256, block.n_rows))))
    return several


@pytest.mark.parametrize("power", [1.1, 1.5, 1.8])
@pytest.mark.parametrize("dispersion", [0.004, 0.3, 3.0])
def test_density_and_probability_of_zero_add_up_to_1_and_have_the_mean(power, dispersion):
    z = 0.4
    near = z + np.linspace(-6, 6, 13) * np.sqrt(dispersion)
    whole, mean = (
        quad(
            lambda u, k=k: np.exp(log_density(power, dispersion, z, np.exp(u)) + k * u),
            *(-60, 8),
            limit=1000,
            points=near[(near > -60) & (near < 8)],
        )[0]
        for k in (1, 2)
    )
    assert whole + np.exp(log_density(power, dispersion, z, 0.0)) == pytest.approx(1, abs=1e-3)
    assert mean == pytest.approx(np.exp(z), rel=1e-3)


def test_series_and_saddlepoint_meet():
    power, y = 1.5, 1.3
    # The index of the largest term is 200 here.
    at = y ** (2 - power) / (2 - power) / 200
    below, above = (log_density(power, at * one, 0.1, y) for one in (1 - 1e-9, 1 + 1e-9))
    assert below == pytest.approx(above, abs=1e-3)


def test_profile_is_the_least_over_all_dispersions():
    x, y = drawn(2000, 1.5)
    z, weight = 0.2 + x @ np.array([0.5, -0.4, 0.2]), np.ones(2000)
    found = profiled(negative_log_likelihoods(1.5, y.var() / y.mean() ** 1.5, z, y, weight))

    def total(log: float) -> float:
        return -sum(log_density(1.5, np.exp(log), a, b) for a, b in zip(z, y, strict=True))

    best = minimize_scalar(total, bounds=(-1, 2), method="bounded").fun
    assert best - 1 < found < best + 5


@pytest.mark.parametrize(("power", "unit"), [(1.5, 1.0), (1.7, 1000.0), (1.2, 1e-3)])
def test_held_out_rows_choose_the_power_of_the_labels_in_any_unit(power, unit):
    several = learn(candidates(drawn(1000, power, unit)[1]), *drawn(60_000, power, unit))
    assert several.best().settings.power == power
    assert several.best().losses[0].shape == power
    assert [one.power for one in several.standings() if one.chosen] == [power]


def test_candidates_that_are_restored_or_learn_in_rounds_choose_alike():
    x, y = drawn(24_000, 1.6)
    blocks = split(make_block(x, y), 6000)
    whole, rest = candidates(y), candidates(y)
    for block in blocks:
        whole.judge(block.take(np.arange(300)))
        whole.update(block.take(np.arange(300, 6000)))
    for block in blocks[:2]:
        rest.judge(block.take(np.arange(300)))
        rest.update(block.take(np.arange(300, 6000)))
    state = rest.state()
    rest = candidates(y)
    rest.restore(state)
    differences = []
    for block in blocks[2:]:
        share = candidates(y)
        share.restore(state)
        share.hold(2, 12_000)
        share.judge(block.take(np.arange(300)))
        share.update(block.take(np.arange(300, 6000)))
        differences.append(share.difference(rest))
    rest.merge(differences)
    assert rest.best().settings.power == whole.best().settings.power == 1.6
    for one, other in zip(rest.standings(), whole.standings(), strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
    again = candidates(y)
    again.restore(rest.state())
    assert again.standings() == rest.standings()
