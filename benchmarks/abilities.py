"""What Spark's and H2O's generalised linear models can express, found out by calling them.

    python benchmarks/abilities.py          # or: python benchmarks/abilities.py H2O

Each line is a question and the answer of the peer on 400 rows: what it found, or the first line of
its refusal. The table in docs/statistics.md rests on these lines. Java 17 is needed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from glm_peers import h2o_node
from spark import local_session

N_ROWS = 400


def rows() -> dict[str, np.ndarray]:
    """Return columns, a weight, an offset, and a label for each family."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, N_ROWS))
    mean = np.exp(0.3 * a - 0.2 * b)
    return {
        "a": a,
        "b": b,
        "known": 0.1 * rng.normal(size=N_ROWS),
        "weight": rng.integers(1, 4, N_ROWS).astype(float),
        "number": 0.3 * a - 0.2 * b + rng.normal(size=N_ROWS),
        "amount": mean * rng.gamma(2.0, 0.5, N_ROWS),
        "count": rng.poisson(mean * rng.gamma(2.0, 0.5, N_ROWS)).astype(float),
        "cost": np.where(rng.random(N_ROWS) < 0.5, 0.0, mean * rng.gamma(2.0, 0.5, N_ROWS)),
        "binary": (rng.logistic(size=N_ROWS) < a).astype(float),
        "class": rng.integers(0, 3, N_ROWS).astype(float),
    }


def asked(peer: str, questions: dict[str, Callable[[], Any]]) -> None:
    """Print the answer to each question."""
    for question, call in questions.items():
        try:
            answer = str(call())
        except Exception as error:  # The refusal of a peer is an answer, whatever its type.
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            told = [line for line in lines if "ERR" in line or "Exception:" in line] or lines
            answer = f"refused: {told[0] if told else type(error).__name__}"
        print(f"{peer} | {question} | {answer[:400]}", flush=True)


def spark() -> None:
    """Ask Spark."""
    import pyspark
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import RegressionEvaluator
    from pyspark.ml.feature import RFormula, VectorAssembler
    from pyspark.ml.linalg import DenseMatrix, Vectors
    from pyspark.ml.regression import GeneralizedLinearRegression, LinearRegression
    from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

    session = local_session(Path(tempfile.mkdtemp()), 2, "2g")
    columns = rows()
    lines = [list(map(float, line)) for line in zip(*columns.values(), strict=True)]
    frame = session.createDataFrame(lines, list(columns))
    frame = VectorAssembler(inputCols=["a", "b"], outputCol="features").transform(frame).cache()

    def fit(label: str, family: str, **more: Any) -> Any:
        made = GeneralizedLinearRegression(labelCol=label, family=family, **more)
        return made.fit(frame)

    def errors(label: str, family: str, **more: Any) -> list[float]:
        return _rounded(fit(label, family, **more).summary.coefficientStandardErrors)

    def criteria() -> str:
        told = fit("amount", "gamma", link="log").summary
        names = ("aic", "deviance", "dispersion", "nullDeviance", "logLikelihood", "bic")
        return ", ".join(f"{name} {_number(getattr(told, name, None))}" for name in names)

    def wide() -> Any:
        made = [(1.0 * k, Vectors.sparse(4097, [k], [1.0])) for k in range(9)]
        few = session.createDataFrame(made, ["count", "features"])
        return GeneralizedLinearRegression(labelCol="count").fit(few).coefficients.size

    def bounded() -> Any:
        made = LogisticRegression(labelCol="binary").setLowerBoundsOnCoefficients(
            DenseMatrix(1, 2, [0.0, 0.0])
        )
        return _rounded(made.fit(frame).coefficients)

    def crossed() -> Any:
        formula = RFormula(formula="count ~ a + b + a:b", featuresCol="f", labelCol="l")
        made = GeneralizedLinearRegression(labelCol="l", featuresCol="f", family="poisson")
        return _rounded(Pipeline(stages=[formula, made]).fit(frame).stages[1].coefficients)

    def validated() -> Any:
        made = GeneralizedLinearRegression(labelCol="count", family="poisson")
        grid = ParamGridBuilder().addGrid(made.regParam, [0.0, 1.0]).build()
        judge = RegressionEvaluator(labelCol="count")
        tuned = CrossValidator(estimator=made, estimatorParamMaps=grid, evaluator=judge, numFolds=2)
        return _rounded(tuned.fit(frame).avgMetrics)

    def elastic() -> Any:
        made = LinearRegression(labelCol="number", regParam=0.3, elasticNetParam=1.0)
        return _rounded(made.fit(frame).coefficients)

    def huber() -> Any:
        made = LinearRegression(labelCol="number", loss="huber")
        return _rounded(made.fit(frame).coefficients)

    questions: dict[str, Callable[[], Any]] = {
        "poisson, offset and weights": lambda: errors(
            "count", "poisson", offsetCol="known", weightCol="weight"
        ),
        "negative binomial": lambda: errors("count", "negativebinomial"),
        "gamma": lambda: errors("amount", "gamma", link="log"),
        "tweedie of power 1.5": lambda: errors("cost", "tweedie", variancePower=1.5, linkPower=0.0),
        "inverse gaussian as tweedie of power 3": lambda: errors(
            "amount", "tweedie", variancePower=3.0, linkPower=0.0
        ),
        **{
            f"binomial, {link}": lambda link=link: errors("binary", "binomial", link=link)
            for link in ("logit", "probit", "cloglog")
        },
        "poisson, links": lambda: [
            _rounded(fit("count", "poisson", link=link).coefficients) for link in ("log", "sqrt")
        ],
        "gaussian, link log or inverse": lambda: _rounded(
            fit("amount", "gaussian", link="log").coefficients
        ),
        "errors with a ridge penalty": lambda: errors("count", "poisson", regParam=0.1),
        "elastic net": lambda: fit("count", "poisson", elasticNetParam=0.5),
        "criteria": criteria,
        "4,097 columns": wide,
        "crosses, by RFormula": crossed,
        "cross-validation, by another class": validated,
        "parameters of the estimator": lambda: ", ".join(
            param.name for param in GeneralizedLinearRegression().params
        ),
        "other class: elastic net of squared loss": elastic,
        "other class: huber": huber,
        "other class: multinomial": lambda: (
            LogisticRegression(labelCol="class", family="multinomial").fit(frame).numClasses
        ),
        "other class: bounds of logistic regression": bounded,
    }
    try:
        asked(f"Spark {pyspark.__version__}", questions)
    finally:
        session.stop()


def h2o() -> None:
    """Ask H2O."""
    import h2o as engine
    import pandas as pd
    from h2o.estimators import H2OANOVAGLMEstimator
    from h2o.estimators import H2OGeneralizedLinearEstimator as Estimator

    with h2o_node(Path(tempfile.mkdtemp()), "2g"):
        frame = engine.H2OFrame(pd.DataFrame(rows()))
        for name in ("binary", "class"):
            frame[f"{name}_level"] = frame[name].asfactor()

        def fit(label: str, family: str, **more: Any) -> Any:
            model = Estimator(family=family, **more)
            model.train(x=["a", "b"], y=label, training_frame=frame)
            return model

        def errors(label: str, family: str, **more: Any) -> Any:
            model = fit(label, family, lambda_=0, compute_p_values=True, **more)
            told = model._model_json["output"]["coefficients_table"].as_data_frame()
            return _rounded(told["std_error"])

        def weights(label: str, family: str, **more: Any) -> Any:
            return {name: round(one, 4) for name, one in fit(label, family, **more).coef().items()}

        def criteria() -> str:
            model = fit("amount", "gamma", link="log", lambda_=0, calc_like=True)
            told = model._model_json["output"]["training_metrics"]
            names = ("AIC", "residual_deviance", "null_deviance", "loglikelihood", "dispersion")
            return ", ".join(f"{name} {_number(told._metric_json.get(name))}" for name in names)

        def estimated(label: str, family: str, **more: Any) -> Any:
            words = {"dispersion_parameter_method": "ml", "compute_p_values": True} | more
            model = fit(label, family, lambda_=0, **words)
            found = {"dispersion": model._model_json["output"]["dispersion"]}
            names = ("theta", "tweedie_variance_power")
            return found | {name: model.actual_params[name] for name in names}

        def bounded() -> Any:
            bounds = engine.H2OFrame(
                {"names": ["a", "b"], "lower_bounds": [0.0, 0.0], "upper_bounds": [9.0, 9.0]}
            )
            return weights("count", "poisson", beta_constraints=bounds, lambda_=0)

        def with_prior() -> Any:
            prior = engine.H2OFrame(
                {"names": ["a", "b"], "beta_given": [1.0, 1.0], "rho": [1e6, 1e6]}
            )
            return weights("count", "poisson", beta_constraints=prior, lambda_=0)

        def linear() -> Any:
            both = engine.H2OFrame(
                {
                    "names": ["a", "b"],
                    "values": [1.0, -1.0],
                    "types": ["Equal", "Equal"],
                    "constraint_numbers": [0, 0],
                }
            )
            return weights("count", "poisson", linear_constraints=both, lambda_=0, solver="IRLSM")

        def tested() -> Any:
            made = H2OANOVAGLMEstimator(family="poisson", lambda_=0, highest_interaction_term=1)
            made.train(x=["a", "b"], y="count", training_frame=frame)
            return list(made.result().as_data_frame().columns)

        def checkpoint() -> Any:
            first = fit("count", "poisson", lambda_=0, solver="IRLSM")
            return weights("count", "poisson", lambda_=0, checkpoint=first.model_id, solver="IRLSM")

        questions: dict[str, Callable[[], Any]] = {
            "poisson, offset and weights": lambda: errors(
                "count", "poisson", offset_column="known", weights_column="weight"
            ),
            "negative binomial, theta given": lambda: errors(
                "count", "negativebinomial", theta=0.5, link="log"
            ),
            "negative binomial, theta estimated": lambda: estimated(
                "count", "negativebinomial", link="log"
            ),
            "gamma": lambda: errors("amount", "gamma", link="log"),
            "gamma, dispersion by likelihood": lambda: estimated("amount", "gamma", link="log"),
            "tweedie of power 1.5": lambda: errors(
                "cost", "tweedie", tweedie_variance_power=1.5, tweedie_link_power=0
            ),
            "tweedie, power estimated": lambda: estimated(
                "cost",
                "tweedie",
                tweedie_variance_power=1.5,
                tweedie_link_power=0,
                fix_tweedie_variance_power=False,
            ),
            "inverse gaussian": lambda: errors("amount", "inversegaussian"),
            "inverse gaussian as tweedie of power 3": lambda: errors(
                "amount", "tweedie", tweedie_variance_power=3, tweedie_link_power=0
            ),
            "binomial, logit": lambda: errors("binary_level", "binomial"),
            "binomial, probit": lambda: errors("binary_level", "binomial", link="probit"),
            "binomial, cloglog": lambda: errors("binary_level", "binomial", link="cloglog"),
            "gaussian, link log": lambda: errors("amount", "gaussian", link="log"),
            "poisson, link identity": lambda: weights(
                "count", "poisson", link="identity", lambda_=0
            ),
            "multinomial": lambda: len(fit("class_level", "multinomial").coef()),
            "multinomial, errors": lambda: errors("class_level", "multinomial"),
            "ordinal": lambda: len(fit("class_level", "ordinal").coef()),
            "quantile": lambda: weights("number", "quantile"),
            "huber": lambda: weights("number", "huber"),
            "no penalty": lambda: weights("count", "poisson", lambda_=0),
            "a ridge penalty": lambda: weights("count", "poisson", lambda_=0.1, alpha=0),
            "a ridge penalty, with errors": lambda: weights(
                "count", "poisson", lambda_=0.1, alpha=0, compute_p_values=True
            ),
            "elastic net": lambda: weights("count", "poisson", lambda_=0.3, alpha=0.5),
            "path": lambda: len(
                Estimator.getGLMRegularizationPath(fit("count", "poisson", lambda_search=True))[
                    "lambdas"
                ]
            ),
            "criteria": criteria,
            "bounds": bounded,
            "prior (beta_given)": with_prior,
            "linear constraints": linear,
            "crosses": lambda: weights("count", "poisson", interactions=["a", "b"], lambda_=0),
            "other class: tests of whole columns": tested,
            "cross-validation": lambda: fit("count", "poisson", nfolds=3).mean_residual_deviance(
                xval=True
            ),
            "checkpoint of a solver": checkpoint,
            "parameters of the estimator": lambda: ", ".join(signature(Estimator).parameters),
        }
        asked(f"H2O {engine.__version__}", questions)


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


def _number(value: Any) -> str:
    return "none" if value is None else f"{float(value):.4g}"


def main() -> None:
    """Ask the peers that are named, or both."""
    peers = {"Spark": spark, "H2O": h2o}
    for name in sys.argv[1:] or peers:
        peers[name]()


if __name__ == "__main__":
    main()
