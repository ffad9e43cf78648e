"""Compiled functions work wherever the package is installed; intrinsics add the right sums."""

from __future__ import annotations

import numba
import numpy as np
import pytest

import onepass.jit
from onepass.intrinsics import TALL, WIDE, add_products, add_products_twice


def test_functions_are_compiled_where_nothing_can_be_cached(monkeypatch):
    asked = []

    def njit(**options):
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'double': no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(onepass.jit, "njit", njit)

    @onepass.jit.compiled
    def double(x: float) -> float:
        return 2 * x

    assert double(1.5) == 3.0
    assert [options.pop("cache", False) for options in asked] == [True, False]
    assert asked[0] == asked[1]
    assert asked[0]["nogil"]


def test_compilation_is_told_once_and_only_if_something_is_compiled():
    told: list[str] = []

    def tell() -> None:
        told.append("compiling")

    @numba.njit
    def double(x: float) -> float:
        return 2 * x

    @numba.njit
    def triple(x: float) -> float:
        return 3 * x

    with onepass.jit.telling_of_compilation(tell):
        assert told == []
        double(1.5)
        triple(1.5)
    assert told == ["compiling"]
    with onepass.jit.telling_of_compilation(tell):
        double(2.5)
    assert told == ["compiling"]
    double(1)


@pytest.mark.parametrize(
    ("add", "wide"), [(add_products, WIDE), (add_products_twice, 2 * WIDE)], ids=["one", "two"]
)
def test_tiles_of_products_are_added_where_they_belong(add, wide):
    """Both tile sizes are tested on every processor; learners use the one its registers suit."""

    @numba.njit
    def added(one, other, p, q, step, n, total, spot, out_step):
        add(one, other, p, q, step, n, total, spot, out_step)

    rng = np.random.default_rng(0)
    n, width, p, q = 13, 80, 24, 48 - wide // 2
    one, other = (rng.normal(size=(n, width)).astype(np.float32) for _ in range(2))
    total = rng.normal(size=(width, width))
    expected = total.copy()
    expected[p : p + TALL, q : q + wide] += one[:, p : p + TALL].T @ other[:, q : q + wide]
    flat = total.reshape(-1)
    added(one.reshape(-1), other.reshape(-1), p, q, width, n, flat, p * width + q, width)
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)
    untouched = np.ones((width, width), bool)
    untouched[p : p + TALL, q : q + wide] = False
    np.testing.assert_array_equal(total[untouched], expected[untouched])
