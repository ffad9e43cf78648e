"""The contenders of glm.py: each reads the lake, fits the model, and writes what it found.

    python benchmarks/glm_peers.py glum --lake LAKE --found FIT.json

Where a peer has standard errors without the assumption that the variance is that of the loss, it is
asked for those with it, which all have.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from socket import socket

import numpy as np
import pyarrow.parquet as pq
from claims import FEATURES, WIDTH, Fit

MEMORY = "8g"
"""Heap of a Java machine."""

N_THREADS = 2


def onepass(lake: Path) -> Fit:
    """Train in one pass, with standard errors."""
    return _onepass(lake, refined=False)


def onepass_refined(lake: Path) -> Fit:
    """Train in one pass, and refine to the batch optimum."""
    return _onepass(lake, refined=True)


def _onepass(lake: Path, refined: bool) -> Fit:
    from onepass import Model, refine, train
    from onepass.actions.summary import summarise

    model = lake.parent / f"model-{time.time_ns()}"
    train(
        {"lake": str(lake), "label": "claims", "loss": "poisson", "exposure": "exposure"}
        | {"model": str(model), "features": FEATURES}
    )
    passes = 1 + len(refine({"model": str(model)}).losses) if refined else 1
    summary = summarise(Model.load(model), by_column=True)
    assert [row.feature for row in summary.coefficients] == FEATURES
    rows = [*summary.coefficients, *summary.intercepts]
    errors = [float(row.std_error or np.nan) for row in rows]
    return Fit([row.coefficient for row in rows], errors, passes, _version("onepass"))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _in_memory(lake: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all features in double precision, the claims and the exposures."""
    rows = pq.read_table(lake)
    x = np.empty((rows.num_rows, WIDTH), order="F")
    for j, name in enumerate(FEATURES):
        x[:, j] = rows[name].to_numpy()
    return x, rows["claims"].to_numpy(), rows["exposure"].to_numpy().astype(float)


def glum(lake: Path) -> Fit:
    """Fit all rows in memory."""
    from glum import GeneralizedLinearRegressor

    x, claims, exposure = _in_memory(lake)
    offset = np.log(exposure)
    model = GeneralizedLinearRegressor(family="poisson", alpha=0)
    model.fit(x, claims, offset=offset)
    known = model.covariance_matrix(x, claims, offset=offset, robust=False, dispersion=1.0)
    errors = np.sqrt(np.diag(known))
    found = [*model.coef_.tolist(), float(model.intercept_)]
    errors = [*errors[1:].tolist(), float(errors[0])]
    return Fit(found, errors, int(model.n_iter_), version("glum"))


def scikit_learn(lake: Path) -> Fit:
    """Fit rates with the exposures as weights, which is the same model, in memory."""
    from sklearn.linear_model import PoissonRegressor

    x, claims, exposure = _in_memory(lake)
    model = PoissonRegressor(alpha=0, solver="newton-cholesky")
    model.fit(x, claims / exposure, sample_weight=exposure)
    found = [*model.coef_.tolist(), float(model.intercept_)]
    return Fit(found, None, int(model.n_iter_), version("scikit-learn"))


def statsmodels(lake: Path) -> Fit:
    """Fit all rows in memory."""
    import statsmodels.api as sm

    x, claims, exposure = _in_memory(lake)
    x = sm.add_constant(x, prepend=False)
    model = sm.GLM(claims, x, family=sm.families.Poisson(), exposure=exposure).fit()
    passes = int(model.fit_history["iteration"])
    return Fit(model.params.tolist(), model.bse.tolist(), passes, version("statsmodels"))


def spark(lake: Path) -> Fit:
    """Fit by iteratively reweighted least squares, which reads the files at every iteration."""
    import pyspark
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.regression import GeneralizedLinearRegression
    from pyspark.sql.functions import col, log
    from spark import local_session

    session = local_session(lake.parent / "spark", N_THREADS, MEMORY)
    try:
        rows = session.read.parquet(str(lake)).withColumn("known", log(col("exposure")))
        together = VectorAssembler(inputCols=FEATURES, outputCol="features")
        made = GeneralizedLinearRegression(
            family="poisson", labelCol="claims", offsetCol="known", featuresCol="features"
        )
        model = made.fit(together.transform(rows))
        errors = list(model.summary.coefficientStandardErrors)
        found = [*model.coefficients.toArray().tolist(), float(model.intercept)]
        return Fit(found, errors, int(model.summary.numIterations), pyspark.__version__)
    finally:
        session.stop()


def h2o(lake: Path) -> Fit:
    """Fit in a node of its own, which holds the columns compressed in memory."""
    import h2o as engine
    from h2o.estimators import H2OGeneralizedLinearEstimator

    with h2o_node(lake.parent / "h2o", MEMORY):
        rows = engine.import_file(str(lake))
        rows["known"] = rows["exposure"].log()
        model = H2OGeneralizedLinearEstimator(
            family="poisson", lambda_=0, compute_p_values=True, offset_column="known"
        )
        model.train(x=FEATURES, y="claims", training_frame=rows)
        output = model._model_json["output"]
        told = output["coefficients_table"].as_data_frame().set_index("names")
        names = [*FEATURES, "Intercept"]
        passes = int(output["model_summary"]["number_of_iterations"][0])
        errors = told.loc[names, "std_error"].tolist()
        return Fit(told.loc[names, "coefficients"].tolist(), errors, passes, engine.__version__)


@contextmanager
def h2o_node(scratch: Path, memory: str) -> Iterator[None]:
    """Start a node of H2O on a free port of the loopback, and stop it."""
    import h2o as engine

    scratch.mkdir(exist_ok=True)
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = {"ip": "127.0.0.1", "port": port, "nthreads": N_THREADS, "max_mem_size": memory}
    engine.init(**words, bind_to_localhost=True, ice_root=str(scratch))
    try:
        engine.no_progress()
        yield
    finally:
        engine.cluster().shutdown()


CONTENDERS: dict[str, Callable[[Path], Fit]] = {
    "onepass": onepass,
    "onepass, refined": onepass_refined,
    "glum": glum,
    "scikit-learn": scikit_learn,
    "statsmodels": statsmodels,
    "Spark": spark,
    "H2O": h2o,
}


def main() -> None:
    """Run a contender."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--found", type=Path, required=True)
    given = parser.parse_args()
    CONTENDERS[given.contender](given.lake).save(given.found)


if __name__ == "__main__":
    main()
