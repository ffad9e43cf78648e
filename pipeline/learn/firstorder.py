from __future__ import annotations

from dataclasses import dataclass

from pipeline.learn.sgd import Sgd

BEST_WIDE = BEST_HASHED = "sgd"


@dataclass
class D:
    schedule: str = "constant"
    averaging: str = "none"
    implicit: bool = False


DEFAULTS = {"sgd": D()}


def default_rate(rule, width):
    return 0.1 / (width + 1)


class S(Sgd):
    def horizon(self, a, b):
        pass


def make_first_order(
    rule,
    loss,
    n_dense,
    n_slots,
    *,
    learning_rate,
    l2,
    l1,
    schedule,
    averaging,
    implicit,
    minibatch,
    base,
):
    return S(loss, n_dense, n_slots, learning_rate=learning_rate, l2=l2)
