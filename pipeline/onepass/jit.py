"""Decorators that compile loops over rows with numba, without the GIL and cached on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from numba import njit
from numba.core import event

_Function = TypeVar("_Function", bound=Callable[..., Any])

APART = 64
"""Least distance, in numbers, between two arrays that a `reordered` loop reads and writes.

A vectorised loop compares at run time where its arrays begin. If they lie closer together than one
step of the loop, it falls back to one number at a time, and sums differ in their last bit. Arrays
that are allocated with this many spare numbers never do, so that results do not depend on where the
allocator puts them.
"""

_REORDERED = {"reassoc", "contract", "nsz", "arcp"}
"""LLVM's fast-math flags without those that assume that NaN and infinity do not occur."""


def compiled(function: _Function) -> _Function:
    """Compile a function with numba; its floating-point operations keep their order."""
    return _compiled(function, fastmath=False)


def reordered(function: _Function) -> _Function:
    """Compile as `compiled` does, but let the compiler reorder sums, to use vector registers.

    Sums over features are several times faster this way. The compiler fixes the order for a kind of
    processor, so the same machine gives the same bits. NaN and infinity keep their meaning.
    """
    return _compiled(function, fastmath=_REORDERED)


def inlined(function: _Function) -> _Function:
    """Compile as `reordered` does, and inline the function into each compiled caller.

    A call that is not inlined counts references to its arrays, and hides from the compiler which
    arguments are constant.
    """
    return _inlined(function, _REORDERED)


def inlined_as_written(function: _Function) -> _Function:
    """Compile as `inlined` does, but keep the order of operations.

    Arithmetic such as ``(x + big) - big``, which rounds x, would be simplified away otherwise.
    """
    return _inlined(function, False)


def pasted(function: _Function) -> _Function:
    """Compile as `compiled` does, as a part of each compiled caller.

    The compiler never sees a call, so references to arrays are not counted even where LLVM cannot
    prove that they need not be: a reader of single bytes was twice as fast as with `inlined`.
    """
    return cast(_Function, njit(nogil=True, error_model="numpy", inline="always")(function))


def _inlined(function: _Function, fastmath: bool | set[str]) -> _Function:
    inline = njit(nogil=True, fastmath=fastmath, error_model="numpy", forceinline=True)
    return cast(_Function, inline(function))


def _compiled(function: _Function, *, fastmath: bool | set[str]) -> _Function:
    # With numpy's error model a division by zero gives infinity. Python's model checks each
    # divisor, and these branches keep a loop out of vector registers.
    try:
        result = njit(cache=True, nogil=True, fastmath=fastmath, error_model="numpy")(function)
    except RuntimeError:
        # Neither the package's folder nor the home can be written, as in many containers. Compile
        # in each process instead, which costs a few seconds at its start.
        result = njit(nogil=True, fastmath=fastmath, error_model="numpy")(function)
    return cast(_Function, result)


class _Listener(event.Listener):
    def __init__(self, told: Callable[[], None]) -> None:
        self._told: Callable[[], None] | None = told

    def on_start(self, event: Any) -> None:
        # Two threads may begin to compile at the same time.
        told, self._told = self._told, None
        if told is not None:
            told()

    def on_end(self, event: Any) -> None:
        """Do nothing."""


@contextmanager
def telling_of_compilation(told: Callable[[], None]) -> Iterator[None]:
    """Call `told` once if a loop has to be compiled within the context, before it is.

    Loops that the cache on the disk has are not compiled. The call may come from any thread.
    """
    with event.install_listener("numba:compile", _Listener(told)):
        yield
