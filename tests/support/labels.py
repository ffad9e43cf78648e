"""Labels of several kinds, for the tests of warnings about them."""

from __future__ import annotations

import numpy as np

N = 4000


KINDS = ["number", "classes", "huge", "partly null"]


def label(kind):
    """Return `N` labels of a kind, the same at each call."""
    rng = np.random.default_rng(1)
    return {
        "number": rng.normal(size=N),
        "classes": (rng.random(N) < 0.3).astype(float),
        "huge": rng.normal(size=N) * 1e300,
        "partly null": np.where(rng.random(N) < 0.2, np.nan, rng.normal(size=N)),
    }[kind]
