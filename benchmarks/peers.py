"""What people train with today, one pass over the same rows: scikit-learn's SGD, Vowpal Wabbit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from scipy.special import expit
from tasks import LABEL, Task

BATCH = 10_000
SKLEARN_RATES = (1e-5, 1e-4, 1e-3, 1e-2, 0.1)
VW_RATES = (0.01, 0.05, 0.2, 1.0, 5.0)

_SKLEARN = {
    "squared": "squared_error",
    "huber": "huber",
    "logistic": "log_loss",
    "hinge": "hinge",
    "softmax": "log_loss",
}
_VW = {
    "squared": "--loss_function squared",
    "quantile": "--loss_function quantile --quantile_tau {quantile}",
    "logistic": "--loss_function logistic",
    "hinge": "--loss_function hinge",
    "poisson": "--loss_function poisson",
    "softmax": "--loss_function logistic --oaa {n_classes} --probabilities",
}


def sklearn_sgd(
    task: Task, x, y: np.ndarray, at, *, rate: float | None, delta: float, seed: int = 0
) -> np.ndarray | None:
    """Predictions of SGD over standardised batches; None where it has no such loss."""
    from sklearn.linear_model import SGDClassifier, SGDRegressor
    from sklearn.preprocessing import StandardScaler

    if task.loss not in _SKLEARN:
        return None
    is_class = task.loss in {"logistic", "hinge", "softmax"}
    options = {"loss": _SKLEARN[task.loss], "random_state": seed}
    if rate is not None:
        options |= {"learning_rate": "invscaling", "eta0": rate, "power_t": 0.25}
    if task.loss == "huber":
        options["epsilon"] = delta
    model = (SGDClassifier if is_class else SGDRegressor)(**options)
    scaler = StandardScaler(with_mean=not hasattr(x, "tocsr"))
    for start in range(0, len(y), BATCH):
        rows, label = x[start : start + BATCH], y[start : start + BATCH]
        scaler.partial_fit(rows)
        classes = {"classes": np.unique(y)} if is_class else {}
        model.partial_fit(scaler.transform(rows), label, **classes)
    rows = scaler.transform(at)
    if task.loss == "softmax":
        return model.predict_proba(rows)
    if task.loss == "logistic":
        return expit(model.decision_function(rows))
    return model.decision_function(rows) if is_class else model.predict(rows)


def vowpal_wabbit(
    task: Task, train: list[str], holdout: list[str], *, rate: float | None, n_classes: int
) -> np.ndarray | None:
    """Predictions of one pass over text lines; None where it has no such loss."""
    from vowpalwabbit import Workspace

    if task.loss not in _VW:
        return None
    quantile = task.job.get("quantile", 0.5)
    flags = _VW[task.loss].format(quantile=quantile, n_classes=n_classes)
    bits = 22 if task.kind == "hashed" else 18
    learner = Workspace(f"--quiet -b {bits} {flags}" + (f" -l {rate}" if rate else ""))
    for line in train:
        learner.learn(line)
    found = np.array([learner.predict(line) for line in holdout])
    learner.finish()
    if task.loss == "logistic":
        return expit(found)
    return np.exp(found) if task.loss == "poisson" else found


def vw_lines(task: Task, table: pa.Table, classes: list[str] | None) -> list[str]:
    """Rows as text; null is absent, text is one feature per value."""
    features = [list(_texts(name, table[name])) for name in table.column_names if name != LABEL]
    label = table[LABEL].to_pylist()
    if task.loss in {"logistic", "hinge"}:
        label = [1 if str(value) == classes[1] else -1 for value in label]
    elif task.loss == "softmax":
        place = {text: i + 1 for i, text in enumerate(classes or [])}
        label = [place[str(value)] for value in label]
    return [
        f"{y} | {' '.join(row)}" for y, row in zip(label, zip(*features, strict=True), strict=True)
    ]


def _texts(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    key = name.replace(" ", "_").replace(":", "_").replace("|", "_")
    for value in column.to_pylist():
        if value is None or value != value:
            yield f"{key}_null"
        elif isinstance(value, str):
            yield f"{key}={value}".replace(" ", "_").replace(":", "_").replace("|", "_")
        else:
            yield f"{key}:{float(value):.7g}"
