"""A model as a scikit-learn pipeline: the same encoding, the same coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onepass.errors import JobError
from onepass.learn.updater import Weights

if TYPE_CHECKING:
    from onepass.model.model import Model


def to_sklearn(model: Model) -> Any:
    """A fitted `sklearn.pipeline.Pipeline` that takes what `Model.predict` takes.

    Its first step makes the dense features, its second is scikit-learn's linear model of the same
    loss. Predictions are those of the model, but for the clipping of regressions to the labels
    seen; classifiers predict classes, and probabilities by `predict_proba`.

    Raises
    ------
    JobError
        If the model has hashed columns or several quantiles, or scikit-learn is missing.
    """
    job, schema = model.file.job, model.file.encoder
    if schema.n_hashed:
        raise JobError("a model with hashed columns has no counterpart in scikit-learn")
    if len(model.weights) > 1:
        raise JobError("several quantiles are several models in scikit-learn; train them apart")
    try:
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import FunctionTransformer
    except ImportError:
        raise JobError("to_sklearn needs scikit-learn: pip install scikit-learn") from None
    encode = FunctionTransformer(model.features, feature_names_out=_Names(schema.feature_names()))
    linear = _linear(job.loss, model)
    return Pipeline([("encode", encode), ("linear", linear)])


class _Names:
    """Names of the features, for scikit-learn; a function that can be pickled."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __call__(self, transformer: Any, names: Any) -> Any:
        return np.asarray(self.names, object)


def _linear(loss: str, model: Model) -> Any:
    from sklearn import linear_model
    from sklearn.svm import LinearSVC

    weights = model.weights[0]
    match loss:
        case "squared":
            return _regressor(linear_model.LinearRegression(), weights)
        case "huber":
            return _regressor(linear_model.LinearRegression(), weights)
        case "quantile":
            quantile = model.file.job.quantile[0]
            return _regressor(linear_model.QuantileRegressor(quantile=quantile), weights)
        case "poisson":
            return _glm(linear_model.PoissonRegressor(), weights)
        case "gamma":
            return _glm(linear_model.GammaRegressor(), weights)
        case "hinge":
            return _classifier(LinearSVC(), weights, model)
        case _:
            return _classifier(linear_model.LogisticRegression(), weights, model)


def _regressor(linear: Any, weights: Weights) -> Any:
    linear.coef_, linear.intercept_ = weights.dense.copy(), float(np.asarray(weights.intercept))
    linear.n_features_in_ = weights.dense.shape[-1]
    return linear


def _glm(linear: Any, weights: Weights) -> Any:
    linear = _regressor(linear, weights)
    # What `fit` sets for `predict` beside the coefficients: the link.
    linear._base_loss = linear._get_loss()
    return linear


def _classifier(linear: Any, weights: Weights, model: Model) -> Any:
    linear.coef_ = np.atleast_2d(weights.dense).copy()
    linear.intercept_ = np.atleast_1d(np.asarray(weights.intercept)).copy()
    linear.classes_ = np.asarray(model.classes)
    linear.n_features_in_ = weights.dense.shape[-1]
    return linear
