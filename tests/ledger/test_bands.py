"""Bands: what is expected of the next group, on hand-made histories."""

from __future__ import annotations

import numpy as np
import pytest

from lakes import logged_training
from onepass.ledger.bands import LEAST, WINDOW, Band, drifted, expected, relative_loss, standings
from onepass.ledger.trained import Trained


def trained(
    relative: float | None, *, rows: int = 1000, constant: float | None = 2.0, epoch: int = 1
) -> Trained:
    loss = None if relative is None else relative * (constant or 1.0)
    metrics = {"constant_loss": constant}
    changed = {"loss": loss, "metrics": metrics, "epoch": epoch, "rows": rows}
    return Trained(**dict(logged_training("a")) | changed)


def steady(n: int, seed: int = 0) -> list[Trained]:
    noise = np.random.default_rng(seed).normal(0.6, 0.01, n)
    return [trained(float(one)) for one in noise]


def test_a_few_entries_say_nothing():
    history = steady(LEAST)
    assert expected(history[:-1], 1000) is None
    assert expected(history, 1000) is not None
    assert [one.band is None for one in standings([*history, trained(9.0)])] == [True] * 8 + [False]


def test_the_band_is_the_median_and_five_robust_deviations_of_the_entries_before():
    losses = [0.50, 0.52, 0.54, 0.56, 0.58, 0.60, 0.62, 0.64, 0.66]
    band = expected([trained(one) for one in losses], 1000)
    mad = 0.04  # the median of 0.08, 0.06, 0.04, 0.02, 0, 0.02, 0.04, 0.06, 0.08
    half = 5 * 1.4826 * mad
    assert band is not None
    assert (band.low, band.middle, band.high) == pytest.approx((0.58 - half, 0.58, 0.58 + half))


def test_only_the_strange_partition_is_flagged_on_the_side_on_which_it_lies():
    history = [*steady(30), trained(0.8), *steady(5, seed=1), trained(0.3), *steady(5, seed=2)]
    flags = dict.fromkeys(range(42)) | {30: "above", 36: "below"}
    assert drifted(history) == list(flags.values())
    assert drifted(history, len(history) - 3) == list(flags.values())[-3:]


def test_a_lasting_change_is_flagged_until_it_is_half_of_the_window():
    shifted = [trained(one.loss / 2 + 0.4) for one in steady(WINDOW, seed=3) if one.loss]
    flags = drifted([*steady(WINDOW), *shifted])
    assert flags[:WINDOW] == [None] * WINDOW
    assert set(flags[WINDOW : WINDOW + WINDOW // 2]) == {"above"}
    assert flags[-1] is None


def test_the_high_losses_of_the_first_partitions_of_a_young_model_raise_no_alarm():
    learning = [trained(0.5 + 0.5 * 0.5**i) for i in range(30)]
    assert "above" not in drifted(learning)


def test_a_smaller_partition_has_a_wider_band_and_a_larger_one_has_the_same():
    history = steady(20)
    usual, small, large = (expected(history, rows) for rows in (1000, 10, 100_000))
    assert usual is not None
    assert small is not None
    assert small.high - small.middle == pytest.approx(10 * (usual.high - usual.middle))
    assert large == usual


def test_equal_losses_leave_room_for_a_hundredth():
    band = expected([trained(0.5)] * 10, 1000)
    assert band == Band(pytest.approx(0.495), 0.5, pytest.approx(0.505))
    assert (band.side(0.501), band.side(0.51), band.side(0.49)) == (None, "above", "below")


@pytest.mark.parametrize(
    "entry",
    [
        trained(None),
        trained(0.5, constant=0.0),
        trained(0.5, constant=None),
        trained(0.5, epoch=2),
        Trained(**dict(trained(0.5)) | {"loss": 1e300, "metrics": {"constant_loss": 1e-300}}),
    ],
)
def test_an_entry_without_a_relative_loss_is_neither_judged_nor_counted(entry):
    history = [*steady(20), entry]
    assert relative_loss(entry) is None
    assert expected(history, 1000) == expected(history[:-1], 1000)
    assert [one.drift for one in standings([*history, trained(0.6)])][-2:] == [None, None]


def test_what_is_expected_of_the_next_entry_is_what_it_is_held_against():
    history = [trained(x) for x in np.random.default_rng(4).gamma(5.0, 0.1, 100).tolist()]
    found = [one.band for one in standings(history)]
    assert found == [expected(history[:i], 1000) for i in range(100)]
