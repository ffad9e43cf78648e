"""Compiled functions: usable wherever the package is installed."""

from __future__ import annotations

import numba

import pipeline.compiled


def test_functions_are_compiled_where_nothing_can_be_cached(monkeypatch):
    asked = []

    def njit(**options):
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'double': no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(pipeline.compiled, "njit", njit)

    @pipeline.compiled.compiled
    def double(x: float) -> float:
        return 2 * x

    assert double(1.5) == 3.0
    assert [options.pop("cache", False) for options in asked] == [True, False]
    assert asked[0] == asked[1]
    assert asked[0]["nogil"]
