"""Memory for arrays that come and go with every block."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def empty(shape: tuple[int, ...], kind: type[Number]) -> NDArray[Number]:
    """An array whose numbers are not set, from Arrow's memory.

    numpy's own goes back to the system with each block, and comes anew page by page, each filled
    with zeros first: the next block was written at half the speed.
    """
    n_numbers = 1
    for length in shape:
        n_numbers *= length
    buffer = pa.allocate_buffer(n_numbers * np.dtype(kind).itemsize)
    found: NDArray[Any] = np.frombuffer(buffer, kind)
    return found.reshape(shape)


def filled(n: int, value: float) -> NDArray[np.float64]:
    """An array of `n` equal numbers, from Arrow's memory."""
    found = empty((n,), np.float64)
    found.fill(value)
    return found
