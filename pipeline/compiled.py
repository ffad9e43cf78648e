"""Compile loops over rows: without the GIL, and kept on disk for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Decorate a function for compilation by numba."""
    try:
        result = njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # Neither the package's folder nor the home can be written, as in many containers: compile
        # again in each process, which costs a few seconds at its start.
        result = njit(nogil=True)(function)
    return cast(_Function, result)
