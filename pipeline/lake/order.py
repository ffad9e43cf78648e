"""Seeded orders that a cursor alone can rebuild: no buffer, no generator state to save.

A permutation is the argsort of a counter-based stream, keyed by a text. Bit generators, unlike
the distributions drawn from them, are guaranteed to give the same stream in every numpy version.
"""

from __future__ import annotations

import hashlib

import numpy as np

from pipeline.block import IntArray


def permutation(n: int, seed: int, *place: object) -> IntArray:
    """A permutation of ``range(n)``, a pure function of the seed and the place it is used at.

    Parameters
    ----------
    n
        Number of things to permute.
    seed
        Seed of the job.
    place
        What tells this permutation from all others: a path, a row group, an offset.
    """
    text = "\x1f".join(str(part) for part in (seed, *place))
    key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
    draws = np.random.Philox(key=key).random_raw(n)
    return np.argsort(draws, kind="stable").astype(np.int64)
