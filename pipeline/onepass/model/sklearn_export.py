"""Export a model as a scikit-learn pipeline: the same encoding, the same coefficients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onepass.block import Float32Array
from onepass.errors import JobError
from onepass.learn.updater import Weights
from onepass.model.file import ModelFile


def to_sklearn(
    file: ModelFile,
    weights: list[Weights],
    encode: Callable[[Any], Float32Array],
    classes: list[Any] | None,
    power: float,
) -> Any:
    """Return a fitted `sklearn.pipeline.Pipeline` for the rows that `Model.predict` takes.

    Its first step makes the dense features; its second is scikit-learn's linear model of the same
    loss. Predictions equal those of the model for an offset of 0 and an exposure of 1, except that
    those of a regression are not clipped to the range of the labels. Classifiers predict classes,
    and probabilities by `predict_proba`.

    Parameters
    ----------
    encode
        Returns the dense features of rows, shape (n_rows, n_dense).
    classes
        Classes of the label in the order of their probabilities; None for a regression.
    power
        Power of the variance of tweedie loss, and 3 for inverse gaussian.

    Raises
    ------
    JobError
        If the model has hashed weights or several quantiles, scikit-learn has no model of its loss,
        or is not installed.
    """
    if file.encoder.n_slots:
        raise JobError(
            "a model with hashed columns, sparse rows or crosses of categories has no counterpart "
            "in scikit-learn"
        )
    if file.job.loss in {"negative_binomial", "probit", "cloglog", "ordinal"}:
        raise JobError(
            f"scikit-learn has no linear model of {file.job.loss} loss; Model.weights has the "
            "coefficients"
        )
    if len(weights) > 1:
        raise JobError("several quantiles are several models in scikit-learn; train them apart")
    try:
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import FunctionTransformer
    except ImportError:
        raise JobError("to_sklearn needs scikit-learn: pip install scikit-learn") from None
    names = _Names(file.encoder.feature_names())
    features = FunctionTransformer(encode, feature_names_out=names)
    linear = _estimator(file, power)
    _set_weights(linear, weights[0], classes)
    return Pipeline([("encode", features), ("linear", linear)])


class _Names:
    """Returns the names of the features to scikit-learn; a lambda could not be pickled."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __call__(self, transformer: Any, names: Any) -> Any:
        return np.asarray(self.names, object)


def _estimator(file: ModelFile, power: float) -> Any:
    from sklearn import linear_model
    from sklearn.svm import LinearSVC

    match file.job.loss:
        case "squared" | "huber":
            return linear_model.LinearRegression()
        case "quantile":
            return linear_model.QuantileRegressor(quantile=file.job.quantile[0])
        case "poisson":
            return _fitted_to_nothing(linear_model.PoissonRegressor(), file.encoder.n_dense)
        case "gamma":
            return _fitted_to_nothing(linear_model.GammaRegressor(), file.encoder.n_dense)
        case "tweedie" | "inverse_gaussian":
            linear = linear_model.TweedieRegressor(power=power, link="log")
            return _fitted_to_nothing(linear, file.encoder.n_dense)
        case "hinge":
            return LinearSVC()
        case _:
            return linear_model.LogisticRegression()


def _fitted_to_nothing(linear: Any, n_features: int) -> Any:
    """Fit a generalised linear model to two rows of zeros.

    Its `fit` prepares the link that `predict` applies, for which there is no public attribute.
    """
    return linear.fit(np.zeros((2, n_features)), np.ones(2))


def _set_weights(linear: Any, weights: Weights, classes: list[Any] | None) -> None:
    if classes is None:
        linear.coef_, linear.intercept_ = weights.dense.copy(), float(np.asarray(weights.intercept))
    else:
        linear.coef_ = np.atleast_2d(weights.dense).copy()
        linear.intercept_ = np.atleast_1d(np.asarray(weights.intercept)).copy()
        linear.classes_ = np.asarray(classes)
    linear.n_features_in_ = weights.dense.shape[-1]
