"""Settings of learners for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from onepass.learn.settings import Settings

_PLAIN = Settings(
    solver="newton",
    loss="squared",
    n_dense=3,
    n_slots=0,
    learning_rate=0.02,
    l2=0.0,
    l1=0.0,
    schedule="constant",
    averaging="none",
    implicit=False,
    minibatch=1,
    half_life_rows=None,
    half_life_partitions=None,
    quantiles=(0.5,),
    delta=1.0,
    n_classes=0,
    center=0.0,
    scale=1.0,
    base=0.0,
    clip=False,
)


def settings(**given: Any) -> Settings:
    """Return settings of newton on three dense features, with the given fields replaced."""
    return replace(_PLAIN, **given)
