"""Seeded permutations and samples that depend on their arguments alone.

A resumed run rebuilds them from its position, so there is no generator state to save. A permutation
is a Fisher-Yates shuffle driven by SplitMix64 and keyed by a text. It is much faster than sorting
random numbers, and the same in every version of every library.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from onepass.arrays import empty
from onepass.block import IntArray
from onepass.jit import compiled


def drawn(n: int, first: int, share: float, *place: object) -> NDArray[np.bool_]:
    """Draw a sample of about `share` of the items numbered `first` to ``first + n - 1``.

    A hash of an item's number and of the place decides whether the item is drawn. So the sample
    does not depend on the cut into batches.

    Parameters
    ----------
    place
        Parts that identify this sample, such as a path and a row group.

    Returns
    -------
    Boolean array of shape ``(n,)``, True for items in the sample.
    """
    return np.asarray(random_numbers(n, first, *place) < np.uint64(int(share * 2**64)))


def random_numbers(n: int, first: int, *place: object) -> NDArray[np.uint64]:
    """Return the random numbers of the items numbered `first` to ``first + n - 1`` of a place.

    Each number depends on the item and the place alone (SplitMix64; G. Steele, D. Lea, C. Flood,
    OOPSLA 2014).

    Returns
    -------
    Array of shape ``(n,)``, uniform over all 64-bit numbers.
    """
    text = "\x1f".join(str(part) for part in place)
    key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    numbers = np.arange(first + 1, first + n + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = np.uint64(key) + numbers * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


@compiled
def _shuffle(order: IntArray, key: np.uint64) -> None:
    """Fill `order` with a permutation of ``range(len(order))``."""
    for i in range(len(order)):
        order[i] = i
    state = np.uint64(key)
    for i in range(len(order) - 1, 0, -1):
        state += np.uint64(0x9E3779B97F4A7C15)
        x = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        # A number below i + 1; over all 2^32 draws, counts of two numbers differ by at most one.
        j = np.int64(((x >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
        order[i], order[j] = order[j], order[i]


def permutation(n: int, seed: int, *place: object) -> IntArray:
    """Return a permutation of ``range(n)`` that is a pure function of the arguments.

    Parameters
    ----------
    n
        Number of items.
    seed
        Seed of the job.
    place
        Parts that identify this permutation, such as a path, a row group and an offset.

    Returns
    -------
    Integer array of shape ``(n,)``.
    """
    text = "\x1f".join(str(part) for part in (seed, *place))
    key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    order = empty((n,), np.int64)
    _shuffle(order, np.uint64(key))
    return order
