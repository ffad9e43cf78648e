"""Estimators of scikit-learn, made the same way for all of its versions."""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression


def elastic_net_logistic(l1: float, l2: float, n_rows: int, **options: object):
    """Return logistic regression with these penalties per row."""
    # From 1.8 on, scikit-learn takes the kind of penalty from `l1_ratio`.
    is_newer = LogisticRegression().get_params()["penalty"] == "deprecated"
    return LogisticRegression(
        C=1 / (n_rows * (l1 + l2)),
        l1_ratio=l1 / (l1 + l2),
        solver="saga",
        random_state=0,
        **({} if is_newer else {"penalty": "elasticnet"}),
        **options,
    )
